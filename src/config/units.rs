//! Durations and sizes, written as text: `"500ms"`, `"64MiB"`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer};

/// `"250us"`, `"500ms"`, `"5s"`, `"2m"`, `"1h"`: a whole number and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DurationText(pub Duration);

/// `"512B"`, `"64KiB"`, `"64MiB"`, `"1GiB"`: a whole number and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SizeText(pub u64);

/// One of these, or `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrOff<T>(pub Option<T>);

const OFF: &str = "off";

const DURATION_UNITS: [(&str, u64); 5] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];
const SIZE_UNITS: [(&str, u64); 4] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A number directly followed by one of `units`, multiplied out.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A duration as it is written in the configuration, for other places where people write one.
///
/// # Errors
/// What the text should look like.
pub fn duration(text: &str) -> Result<Duration, String> {
    let micros = parse(text, &DURATION_UNITS);
    micros.map(Duration::from_micros).ok_or_else(|| {
        format!("{text:?} is no duration: write a number and us, ms, s, m or h, as 500ms")
    })
}

/// The shortest text that parses to `amount`.
fn print(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| amount > 0 && amount.is_multiple_of(*factor);
    let (name, factor) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    write!(f, "{}{name}", amount / factor)
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX), &DURATION_UNITS)
    }
}

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self.0, &SIZE_UNITS)
    }
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<DurationText, D::Error> {
        let text = String::deserialize(from)?;
        let micros = parse(&text, &DURATION_UNITS).ok_or_else(|| {
            let hint = "a whole number and us, ms, s, m or h, such as \"500ms\"";
            serde::de::Error::custom(format!("{text:?} is no duration; write {hint}"))
        })?;
        Ok(DurationText(Duration::from_micros(micros)))
    }
}

impl<'de> Deserialize<'de> for SizeText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<SizeText, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = parse(&text, &SIZE_UNITS).ok_or_else(|| {
            let hint = "a whole number and B, KiB, MiB or GiB, such as \"64MiB\"";
            serde::de::Error::custom(format!("{text:?} is no size; write {hint}"))
        })?;
        Ok(SizeText(bytes))
    }
}

impl<'de> Deserialize<'de> for OrOff<DurationText> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<OrOff<DurationText>, D::Error> {
        let text = String::deserialize(from)?;
        if text == OFF {
            return Ok(OrOff(None));
        }
        let duration = DurationText::deserialize(text.into_deserializer());
        duration.map(|duration| OrOff(Some(duration)))
    }
}

impl JsonSchema for OrOff<DurationText> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DurationOrOff".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+(us|ms|s|m|h)|off)$" })
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(us|ms|s|m|h)$" })
    }
}

impl JsonSchema for SizeText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_amount_agree() {
        for (text, micros) in
            [("250us", 250), ("500ms", 500_000), ("5s", 5_000_000), ("2m", 120_000_000), ("0us", 0)]
        {
            assert_eq!(parse(text, &DURATION_UNITS), Some(micros), "{text}");
            assert_eq!(DurationText(Duration::from_micros(micros)).to_string(), text);
        }
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("64MiB", 64 << 20)] {
            assert_eq!(parse(text, &SIZE_UNITS), Some(bytes), "{text}");
            assert_eq!(SizeText(bytes).to_string(), text);
        }
    }

    #[test]
    fn half_texts_are_refused() {
        for text in
            ["", "5", "s", "-5s", "5 s", "1.5s", "5S", "18446744073709551615h", "5sx", "é5s"]
        {
            assert_eq!(parse(text, &DURATION_UNITS), None, "{text}");
        }
        assert_eq!(parse("64MB", &SIZE_UNITS), None);
    }
}
