//! What became of each frame: the facts' sets, told frame by frame, in the order in which the frames were given.

use crate::facts::Facts;
use agent_protocol::Ids;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What became of a frame, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It left the wire, and came back as sent.
    Sent,
    /// The hardware had it, and gave it back for CANCEL.
    TakenBack,
    /// It was in the packet ring only.
    NeverPosted,
    /// It was cancelled by its ID above the packet ring.
    Aborted,
    /// It cannot be sent as it is, and came back unsent; or the paused stack refused it.
    Refused,
    /// It waits: in front of the packet ring, in it, or in the driver.
    Kept,
    /// Nobody knows of it any more.
    Lost,
    /// Two witnesses disagree on it.
    Contradictory,
}

impl Fate {
    /// All of them, in the order of a legend.
    pub const ALL: [Self; 8] = [
        Self::Sent,
        Self::TakenBack,
        Self::NeverPosted,
        Self::Aborted,
        Self::Refused,
        Self::Kept,
        Self::Lost,
        Self::Contradictory,
    ];

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::TakenBack => "taken back",
            Self::NeverPosted => "never posted",
            Self::Aborted => "aborted by ID",
            Self::Refused => "refused",
            Self::Kept => "kept",
            Self::Lost => "lost",
            Self::Contradictory => "contradictory",
        }
    }

    /// Its name in JSON and in style sheets.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::TakenBack => "taken_back",
            Self::NeverPosted => "never_posted",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
            Self::Kept => "kept",
            Self::Lost => "lost",
            Self::Contradictory => "contradictory",
        }
    }

    /// What it means, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Sent => "The frame left the wire and came back as sent.",
            Self::TakenBack => {
                "The hardware had the frame and gave it back for CANCEL: no byte of it reached the wire."
            }
            Self::NeverPosted => "The frame was only in the packet ring when the cancel came.",
            Self::Aborted => "The frame was cancelled by its ID before it reached the packet ring.",
            Self::Refused => {
                "The frame came back unsent: it cannot be sent as it is, or the stack was paused."
            }
            Self::Kept => {
                "The frame has not come back: it waits in front of the packet ring, in it, or in the driver."
            }
            Self::Lost => "The frame was given to the sender, and nobody knows of it any more.",
            Self::Contradictory => "Two witnesses disagree on the frame.",
        }
    }
}

/// Neighbouring frames, in the order in which they were given, that met the same fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Number of the first frame.
    pub first: u64,
    /// Number of the last frame: `last - first + 1` frames with consecutive numbers.
    pub last: u64,
    /// What became of them.
    pub fate: Fate,
    /// What else is known of them; left out if there is nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Run {
    /// How many frames.
    pub const fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Its numbers, for people.
    pub fn numbers(&self) -> String {
        if self.first == self.last { self.first.to_string() } else { format!("{}-{}", self.first, self.last) }
    }
}

/// How many frames met each fate; a fate that no frame met is not in it.
pub(super) fn counts(runs: &[Run]) -> BTreeMap<Fate, u64> {
    let mut counts = BTreeMap::new();
    for run in runs {
        *counts.entry(run.fate).or_default() += run.len();
    }
    counts
}

/// The fates of all frames that were given to the sender, and of those that turned up without having been.
pub(super) fn of(facts: &Facts) -> Vec<Run> {
    let witnesses = Witnesses::of(facts);
    let offered: HashSet<u64> = facts.offered.iter().collect();
    let mut uninvited: Vec<u64> = witnesses.said.keys().copied().filter(|id| !offered.contains(id)).collect();
    uninvited.sort_unstable();
    let mut runs: Vec<Run> = Vec::new();
    for id in facts.offered.iter().chain(uninvited) {
        let (fate, note) = witnesses.judge(id, offered.contains(&id));
        match runs.last_mut() {
            Some(run) if run.last + 1 == id && run.fate == fate && run.note == note => run.last = id,
            _ => runs.push(Run { first: id, last: id, fate, note }),
        }
    }
    runs
}

/// What a witness reports of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// The guest, on a frame that came to its end.
    Ended(Fate),
    /// The guest: it waits.
    Waits(&'static str),
    /// The device's capture: it left the wire.
    OnWire,
    /// The device's capture: a cancel took it back.
    AtDeviceTakenBack,
}

struct Witnesses {
    said: HashMap<u64, Vec<Said>>,
    subgroups: Vec<(u64, HashSet<u64>)>,
    /// What was under way at a device that was given up may be in no set of the device's.
    device_given_up: bool,
    /// The run ended before its end: the guest may not have reported on every frame.
    unfinished: bool,
}

impl Witnesses {
    fn of(facts: &Facts) -> Self {
        let tx = &facts.tx;
        let none = agent_protocol::ListReport::default();
        let lists = facts.lists.as_ref().unwrap_or(&none);
        let mut said: HashMap<u64, Vec<Said>> = HashMap::new();
        let mut note =
            |ids: &Ids, what: Said| ids.iter().for_each(|id| said.entry(id).or_default().push(what));
        note(&tx.sent, Said::Ended(Fate::Sent));
        note(&tx.taken_back, Said::Ended(Fate::TakenBack));
        note(&tx.never_posted, Said::Ended(Fate::NeverPosted));
        note(&tx.skipped, Said::Ended(Fate::Refused));
        note(&lists.aborted, Said::Ended(Fate::Aborted));
        // A list that was refused in front of the ring is paused in both views.
        let refused: BTreeSet<u64> = tx.paused.iter().chain(lists.paused.iter()).collect();
        note(&refused.into_iter().collect(), Said::Ended(Fate::Refused));
        // In the filter a frame ends by its ID; where the IDs are known, the others were refused by a paused stack.
        let by_id: HashSet<u64> = facts.subgroups.iter().flat_map(|group| group.aborted.iter()).collect();
        let ids_known = !facts.subgroups.is_empty();
        let (aborted, refused): (Vec<u64>, Vec<u64>) =
            facts.originated_ended.iter().partition(|id| !ids_known || by_id.contains(id));
        note(&aborted.into_iter().collect(), Said::Ended(Fate::Aborted));
        note(&refused.into_iter().collect(), Said::Ended(Fate::Refused));
        note(&tx.queued, Said::Waits("in front of the packet ring"));
        note(&tx.outstanding, Said::Waits("in the packet ring"));
        let capture = |ids: &[u64]| ids.iter().copied().collect::<Ids>();
        note(&capture(&facts.capture.outbound), Said::OnWire);
        note(&capture(&facts.capture.taken_back), Said::AtDeviceTakenBack);
        let subgroups =
            facts.subgroups.iter().map(|group| (group.cancel_id, group.given.iter().collect())).collect();
        Self {
            said,
            subgroups,
            device_given_up: facts.device_given_up,
            unfinished: facts.steps.iter().any(|step| !step.ok),
        }
    }

    /// Fate and note of a frame.
    fn judge(&self, id: u64, offered: bool) -> (Fate, String) {
        let said = self.said.get(&id).map_or(&[][..], Vec::as_slice);
        let times = |what: Said| said.iter().filter(|said| **said == what).count();
        let (on_wire, at_device) = (times(Said::OnWire), times(Said::AtDeviceTakenBack));
        let ends: Vec<Fate> = said
            .iter()
            .filter_map(|said| if let Said::Ended(fate) = said { Some(*fate) } else { None })
            .collect();
        let waits =
            said.iter().find_map(|said| if let Said::Waits(place) = said { Some(*place) } else { None });
        let wrong = |text: String| (Fate::Contradictory, text);
        if !offered {
            return wrong(format!(
                "nobody gave it to the sender, and it is {}",
                self.list(&ends, on_wire, at_device)
            ));
        }
        if ends.len() > 1 || on_wire > 1 || at_device > 1 || (on_wire > 0 && at_device > 0) {
            return wrong(format!("it is {}", self.list(&ends, on_wire, at_device)));
        }
        match ends.first() {
            Some(Fate::Sent) if on_wire == 0 && !self.device_given_up => {
                wrong("came back as sent, and the device never put it on the wire".into())
            }
            Some(Fate::TakenBack) if at_device == 0 && !self.device_given_up => {
                let wire = if on_wire > 0 { ", which put it on the wire" } else { "" };
                wrong(format!("came back as taken back, and not by the device{wire}"))
            }
            Some(fate) if *fate != Fate::Sent && on_wire > 0 => {
                wrong(format!("came back as {}, and the device put it on the wire", fate.name()))
            }
            Some(fate) if *fate != Fate::TakenBack && at_device > 0 => {
                wrong(format!("came back as {}, and the device took it back", fate.name()))
            }
            Some(fate) => (*fate, self.subgroup(id)),
            None if on_wire > 0 => {
                (Fate::Kept, "left the wire, and has not come back from the driver".into())
            }
            None if at_device > 0 => {
                (Fate::Kept, "the device took it back, and the driver has not given it back".into())
            }
            None => match waits {
                Some(place) => (Fate::Kept, format!("waits {place}")),
                None if self.unfinished => {
                    (Fate::Kept, "the guest had not reported on it when the run ended".into())
                }
                None => (Fate::Lost, self.subgroup(id)),
            },
        }
    }

    fn subgroup(&self, id: u64) -> String {
        let group = self.subgroups.iter().find(|(_, given)| given.contains(&id));
        group.map_or_else(String::new, |(cancel_id, _)| format!("cancellation ID {cancel_id:#x}"))
    }

    /// Everything that is reported of a frame, in words.
    fn list(&self, ends: &[Fate], on_wire: usize, at_device: usize) -> String {
        let times = |count: usize| if count > 1 { format!(" {count} times") } else { String::new() };
        let mut parts: Vec<String> = ends.iter().map(|fate| fate.name().to_owned()).collect();
        if on_wire > 0 {
            parts.push(format!("on the wire{}", times(on_wire)));
        }
        if at_device > 0 {
            parts.push(format!("taken back by the device{}", times(at_device)));
        }
        parts.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::example::good;

    fn told(facts: &Facts) -> Vec<(u64, u64, Fate)> {
        of(facts).iter().map(|run| (run.first, run.last, run.fate)).collect()
    }

    fn fate_after(id: u64, spoil: impl FnOnce(&mut Facts)) -> (Fate, String) {
        let mut facts = good();
        spoil(&mut facts);
        let run = of(&facts).into_iter().find(|run| (run.first..=run.last).contains(&id)).unwrap();
        (run.fate, run.note)
    }

    #[test]
    fn every_frame_of_a_good_run_has_the_fate_of_its_set() {
        let expected = [(1, 2, Fate::Sent), (3, 6, Fate::TakenBack), (7, 10, Fate::NeverPosted)];
        assert_eq!(told(&good()), expected);
        let counts = counts(&of(&good()));
        assert_eq!(
            counts.into_iter().collect::<Vec<_>>(),
            [(Fate::Sent, 2), (Fate::TakenBack, 4), (Fate::NeverPosted, 4)]
        );
    }

    #[test]
    fn a_frame_that_two_witnesses_disagree_on_is_contradictory() {
        for (id, spoil) in [
            (3, (|facts| facts.capture.outbound.push(3)) as fn(&mut Facts)),
            (2, |facts| facts.capture.outbound.truncate(1)),
            (6, |facts| _ = facts.capture.taken_back.pop()),
            (6, |facts| facts.tx.never_posted = Ids(vec![(6, 10)])),
            (7, |facts| facts.capture.outbound.push(7)),
            (1, |facts| facts.tx.sent = Ids(vec![(1, 2), (1, 1)])),
            (11, |facts| facts.capture.outbound.push(11)),
        ] {
            let (fate, note) = fate_after(id, spoil);
            assert_eq!(fate, Fate::Contradictory, "frame {id}: {note}");
            assert!(!note.is_empty());
        }
    }

    #[test]
    fn a_frame_without_an_end_is_kept_where_it_waits_and_lost_where_nobody_has_it() {
        let kept = fate_after(6, |facts| {
            facts.tx.taken_back = Ids(vec![(3, 5)]);
            facts.tx.outstanding = Ids(vec![(6, 6)]);
        });
        assert_eq!(
            kept,
            (Fate::Kept, "the device took it back, and the driver has not given it back".into())
        );
        let waiting = fate_after(10, |facts| {
            facts.tx.never_posted = Ids(vec![(7, 9)]);
            facts.tx.outstanding = Ids(vec![(10, 10)]);
        });
        assert_eq!(waiting, (Fate::Kept, "waits in the packet ring".into()));
        let lost = fate_after(10, |facts| facts.tx.never_posted = Ids(vec![(7, 9)]));
        assert_eq!(lost.0, Fate::Lost);
        // A run that failed may have ended before the guest's report.
        let unknown = fate_after(10, |facts| {
            facts.tx.never_posted = Ids(vec![(7, 9)]);
            facts.steps[0].ok = false;
        });
        assert_eq!(unknown, (Fate::Kept, "the guest had not reported on it when the run ended".into()));
    }

    #[test]
    fn a_frame_that_ended_above_the_ring_is_aborted_or_refused() {
        assert_eq!(
            fate_after(11, |facts| {
                facts.offered = Ids(vec![(1, 11)]);
                facts.originated = Ids(vec![(11, 11)]);
                facts.originated_ended = Ids(vec![(11, 11)]);
            })
            .0,
            Fate::Aborted
        );
        assert_eq!(
            fate_after(11, |facts| {
                facts.offered = Ids(vec![(1, 11)]);
                facts.tx.paused = Ids(vec![(11, 11)]);
            })
            .0,
            Fate::Refused
        );
    }

    #[test]
    fn what_a_given_up_device_had_is_no_contradiction() {
        let given_up = fate_after(6, |facts| {
            facts.device_given_up = true;
            facts.capture.taken_back.clear();
        });
        assert_eq!(given_up.0, Fate::TakenBack);
    }
}
