use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const U1: &str = "00000000-0000-0000-0000-000000000001";
const U2: &str = "00000000-0000-0000-0000-000000000002";

#[test]
fn texts_are_read_and_written_as_the_servers_do() {
    let table = [
        (String::new(), String::new()),
        (format!("{U1}:1-5:7"), format!("{U1}:1-5:7")),
        (format!("{U1}:7:1-5:6"), format!("{U1}:1-7")),
        (format!("{U2}:3,\n{U1}:1-30:mytag:1"), format!("{U1}:1-30:mytag:1,{U2}:3")),
        (format!("{U1}:MyTag:2-4"), format!("{U1}:mytag:2-4")),
        ("0-1-100,1-2-7".into(), "0-1-100,1-2-7".into()),
        ("1-2-7, 0-1-100".into(), "0-1-100,1-2-7".into()),
    ];
    for (text, written) in table {
        assert_eq!(text.parse::<GtidSet>().unwrap().to_string(), written, "{text}");
    }
    for bad in ["x", "0-1", "0-1-2-3", &format!("{U1}:"), &format!("{U1}:0"), &format!("{U1}:5-3")]
    {
        assert!(bad.parse::<GtidSet>().is_err(), "{bad}");
    }
    assert!(format!("{U1}:tag").parse::<GtidSet>().is_err());
}

#[test]
fn mariadb_lists_compare_by_domain() {
    let list: MariadbGtidList = "0-1-100,1-2-7".parse().unwrap();
    assert!(list.contains(&"0-9-100".parse().unwrap()));
    assert!(!list.contains(&"0-1-101".parse().unwrap()));
    assert!(!list.contains(&"2-1-1".parse().unwrap()));
    let further: MariadbGtidList = "0-1-101,1-2-7,2-1-1".parse().unwrap();
    assert!(list.is_subset(&further) && !further.is_subset(&list));
    assert_eq!(list.union(&further), further);
}

#[test]
fn a_set_of_the_other_family_takes_nothing() {
    let mut set: GtidSet = "0-1-1".parse().unwrap();
    assert!(!set.add(&format!("{U1}:1").parse().unwrap()));
    assert_eq!(set.to_string(), "0-1-1");
}

/// The same set as plain numbers, the reference that intervals are compared with.
fn numbers() -> impl Strategy<Value = BTreeSet<(u8, u8, u64)>> {
    proptest::collection::btree_set((0u8..2, 0u8..3, 1u64..24), 0..40)
}

fn build(numbers: &BTreeSet<(u8, u8, u64)>) -> MysqlGtidSet {
    let mut set = MysqlGtidSet::new();
    for gtid in numbers.iter().map(gtid) {
        assert!(set.add(&gtid));
    }
    set
}

fn gtid(&(uuid, tag, number): &(u8, u8, u64)) -> Gtid {
    let tag = ["", "a", "b_1"][usize::from(tag)].to_owned();
    Gtid::Mysql { uuid: [uuid; 16], tag, number }
}

proptest! {
    #[test]
    fn algebra_is_that_of_sets(one in numbers(), other in numbers()) {
        let (a, b) = (build(&one), build(&other));
        prop_assert_eq!(a.union(&b), build(&one.union(&other).copied().collect()));
        prop_assert_eq!(a.subtract(&b), build(&one.difference(&other).copied().collect()));
        prop_assert_eq!(a.intersect(&b), build(&one.intersection(&other).copied().collect()));
        prop_assert_eq!(a.is_subset(&b), one.is_subset(&other));
        prop_assert_eq!(a.count(), one.len() as u64);
        for number in one.iter().chain(&other) {
            prop_assert_eq!(a.contains(&gtid(number)), one.contains(number));
        }
    }

    #[test]
    fn text_and_bytes_come_back(one in numbers()) {
        let set = build(&one);
        prop_assert_eq!(&set.to_string().parse::<MysqlGtidSet>().unwrap(), &set);
        prop_assert_eq!(&MysqlGtidSet::decode(&set.encode()).unwrap(), &set);
    }

    #[test]
    fn any_bytes_and_texts_are_survived(bytes: Vec<u8>, text: String) {
        let _ = MysqlGtidSet::decode(&bytes);
        let _ = text.parse::<GtidSet>();
    }

    #[test]
    fn damaged_sets_are_survived(one in numbers(), at: prop::sample::Index, with: u8) {
        let mut bytes = build(&one).encode();
        let at = at.index(bytes.len());
        bytes[at] = with;
        let _ = MysqlGtidSet::decode(&bytes);
    }
}
