//! Named consumers of the change feed.

use super::*;
use crate::cluster::ConsumerName;
use crate::report::ConsumerAsk;

fn named(text: &str) -> ConsumerName {
    ConsumerName::new(text).unwrap()
}

fn lsn(number: u64) -> Lsn {
    Lsn::new(number).unwrap()
}

impl Rig {
    fn consumer(&mut self, ask: ConsumerAsk, now: i64) -> Vec<String> {
        told(&self.handle(Event::AsksConsumer { asker: Asker(1), ask, now }))
    }

    fn open(&mut self, name: &str, behind: Option<u64>) -> Vec<String> {
        let behind = behind.and_then(Lsn::new);
        self.consumer(ConsumerAsk::Open { name: named(name), behind }, 1)
    }

    fn acknowledge(&mut self, name: &str, at: u64, now: i64) -> Vec<String> {
        let (name, lsn, token) = (named(name), lsn(at), format!("token {at}"));
        self.consumer(ConsumerAsk::Acknowledge { name, lsn, token }, now)
    }
}

#[test]
fn a_place_is_durable_before_it_is_answered_and_only_moves_forward() {
    let mut rig = Rig::new(3, 2);
    assert_eq!(rig.consumer(ConsumerAsk::Find { name: named("a") }, 1), ["[]"]);
    assert_eq!(rig.open("a", Some(7)), ["save", r#"[("a", Some(7))]"#, "publish"]);
    assert_eq!(rig.open("a", Some(3)), [r#"[("a", Some(7))]"#], "it is there already");
    let moved = ["save", r#"[("a", Some(9))]"#, "publish"];
    assert_eq!(rig.acknowledge("a", 9, 5), moved);
    for again in [9, 8] {
        assert_eq!(rig.acknowledge("a", again, 6), [r#"[("a", Some(9))]"#]);
    }
    rig.restart();
    let known = rig.engine.state().consumers.clone();
    assert_eq!((known[0].since, known[0].token.as_deref()), (5, Some("token 9")));
    let unknown = "refused: there is no consumer b; open its feed first";
    assert_eq!(rig.acknowledge("b", 1, 7), [unknown]);
}

#[test]
fn the_view_says_what_logs_must_keep() {
    let mut rig = Rig::new(3, 2);
    let needed = |rig: &Rig| rig.engine.view(1).lowest_needed().map(Lsn::get);
    assert_eq!(needed(&rig), None);
    rig.open("a", Some(7));
    assert_eq!(needed(&rig), Some(8));
    rig.open("all", None);
    assert_eq!(needed(&rig), Some(1));
    rig.acknowledge("all", 20, 5);
    assert_eq!(needed(&rig), Some(8));
    let remove = |name| ConsumerAsk::Remove { name: named(name) };
    assert_eq!(rig.consumer(remove("a"), 6), ["save", "[]", "publish"]);
    assert_eq!(rig.consumer(remove("a"), 6), ["[]"]);
    assert_eq!(needed(&rig), Some(21));
}

#[test]
fn there_are_so_many_and_no_more() {
    let mut rig = Rig::new(3, 2);
    for number in 0..100 {
        assert_eq!(rig.open(&format!("c{number}"), None).len(), 3);
    }
    let refused = rig.open("more", None);
    assert!(refused[0].starts_with("refused: there are 100 consumers already"), "{refused:?}");
    assert_eq!(rig.open("c5", None).len(), 1, "who is there is not refused");
}
