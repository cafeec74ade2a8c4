//! The log's format in force.

use super::*;
use crate::cluster::LogFormat;

/// A cluster whose store was made before there were two formats.
fn older(members: usize) -> Rig {
    let mut rig = Rig::new(members, 2);
    let mut stored = serde_json::to_value(&rig.stored).unwrap();
    stored.as_object_mut().unwrap().remove("log_format").unwrap();
    rig.stored = serde_json::from_value(stored).unwrap();
    rig.engine = Engine::start(rig.stored.clone(), &rig.settings, CLUSTER).0;
    assert_eq!(rig.engine.state().log_format, LogFormat::FIRST);
    rig
}

impl Rig {
    fn finalize(&mut self) -> Vec<String> {
        told(&self.handle(Event::AsksFinalize { asker: Asker(1) }))
    }

    fn register_older(&mut self, index: usize) -> Vec<String> {
        let log_formats = LogFormats::default();
        self.register_with(Registration { log_formats, ..registration(index, 1, None) })
    }

    fn format(&self) -> LogFormat {
        self.engine.view(1).log_format
    }
}

#[test]
fn a_new_cluster_has_the_newest_format() {
    let mut rig = Rig::new(3, 2);
    assert_eq!(rig.format(), LogFormat::CURRENT);
    assert_eq!(rig.finalize(), ["2 in force"]);
}

#[test]
fn every_member_must_be_known_to_read_it() {
    let mut rig = older(3);
    rig.register(0, 1);
    rig.register_older(1);
    assert_eq!(
        rig.finalize(),
        [
            "refused: format 2 of the log cannot be written yet: s2 reads formats up to 1; s3 has not \
          registered since this coordinator started, so what it reads is not known. Upgrade and \
          start their agents, then ask again"
        ]
    );
    assert_eq!(rig.format(), LogFormat::FIRST);
    rig.register(1, 1);
    rig.register(2, 1);
    rig.restart();
    assert!(rig.finalize()[0].contains("s1 has not"), "forgotten with the process");
    (0..3).for_each(|index| drop(rig.register(index, 1)));
    assert_eq!(rig.finalize(), ["save", "from 1 to 2", "publish"]);
    assert_eq!(rig.format(), LogFormat::CURRENT);
    assert_eq!(rig.finalize(), ["2 in force"], "asked again");
    rig.restart();
    assert_eq!(rig.format(), LogFormat::CURRENT);
}

#[test]
fn who_cannot_read_the_format_in_force_is_turned_away() {
    let mut rig = Rig::three();
    let why = "refused: s2 cannot read format 2 of the log, which is in force here: start its agent \
               from the version of plimsoll that the others run";
    assert_eq!(rig.register_older(1), [why]);
    let mut rig = older(3);
    assert_eq!(rig.register_older(1), ["save", "registered", "publish"]);
}

#[test]
fn what_older_builds_say_is_the_first_format() {
    let mut said = serde_json::to_value(registration(0, 1, None)).unwrap();
    said.as_object_mut().unwrap().remove("log_formats").unwrap();
    let read: Registration = serde_json::from_value(said).unwrap();
    assert!(read.log_formats.read(LogFormat::FIRST));
    assert!(!read.log_formats.read(LogFormat::CURRENT));
    let mut said = serde_json::to_value(Rig::new(1, 1).engine.view(1)).unwrap();
    said.as_object_mut().unwrap().remove("log_format").unwrap();
    let read: crate::report::View = serde_json::from_value(said).unwrap();
    assert_eq!(read.log_format, LogFormat::FIRST);
}
