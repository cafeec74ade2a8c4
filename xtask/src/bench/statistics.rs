//! Medians and percentiles.

use serde::Serialize;

/// The same figure, measured once a run.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Half the values are at or below; between the two in the middle where their number is even.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    pub fn min(&self) -> f64 {
        self.sorted().first().copied().unwrap_or(f64::NAN)
    }

    pub fn max(&self) -> f64 {
        self.sorted().last().copied().unwrap_or(f64::NAN)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// The least value that at least this part (0 to 1) of the counted values does not exceed. Buckets are
/// (upper bound, how many), in rising order.
pub fn percentile(buckets: &[(f64, u64)], part: f64) -> Option<f64> {
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    let wanted = (total as f64 * part).ceil();
    let mut seen = 0;
    for (bound, count) in buckets {
        seen += count;
        if seen > 0 && seen as f64 >= wanted {
            return Some(*bound);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, median) in
            [(&[3.0][..], 3.0), (&[5.0, 1.0, 2.0], 2.0), (&[4.0, 1.0, 3.0, 2.0], 2.5)]
        {
            let series = Series(values.to_vec());
            assert_eq!(series.median(), median, "{values:?}");
        }
        let series = Series(vec![5.0, 1.0, 2.0]);
        assert_eq!((series.min(), series.max()), (1.0, 5.0));
    }

    #[test]
    fn percentiles() {
        let buckets = [(1.0, 98), (2.0, 1), (9.0, 1)];
        for (part, value) in [(0.0, 1.0), (0.5, 1.0), (0.98, 1.0), (0.99, 2.0), (1.0, 9.0)] {
            assert_eq!(percentile(&buckets, part), Some(value), "{part}");
        }
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[(1.0, 0)], 0.5), None);
    }
}
