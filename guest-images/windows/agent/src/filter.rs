//! Frames and their cancellation through the filter's control device, and what the drivers count.
//!
//! The rig names a cancellation ID as it likes; the filter marks its lists with IDs that it gets from NDIS. Which of
//! those stand for which of the rig's is kept here.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use agent_protocol::Reply;
use cancelnic_ioctl::{
    FILTER_DEVICE, Header, Input as _, NIC_INTERFACE,
    filter::{self, Counters, Select, Sent},
    nic,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::guest::{
    Fault, Guest, Outcome, STATUS_DEVICE_DOES_NOT_EXIST, STATUS_OBJECT_NAME_NOT_FOUND, Target,
};

/// The filter's sends.
#[derive(Debug, Default)]
pub struct Sends {
    /// The filter's IDs by the rig's.
    ids: Mutex<BTreeMap<u64, Vec<u64>>>,
}

const FILTER: Target<'static> = Target::Link(FILTER_DEVICE);

/// A device that cannot be opened.
struct Refusal {
    name: &'static str,
    status: u32,
}

impl From<Refusal> for String {
    fn from(Refusal { name, status }: Refusal) -> Self {
        format!("{name} cannot be opened: status {status:#010x}")
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal.into())
    }
}

/// One request to a device, opened for it alone: a file that stays open would keep its driver from being unloaded.
fn ask(
    guest: &dyn Guest,
    target: Target<'static>,
    code: u32,
    input: &[u8],
    output_len: usize,
) -> Result<Outcome, Refusal> {
    let name = match target {
        Target::Link(name) => name,
        Target::Class(_) => "the NIC's interface",
    };
    let file = guest.open(target).map_err(|status| Refusal { name, status })?;
    let outcome = file.prepare(code, input, output_len as u32).run();
    file.close();
    Ok(outcome)
}

/// The same where it must succeed, with an answer of a known form.
fn told<T: FromBytes + KnownLayout + Immutable>(
    guest: &dyn Guest,
    target: Target<'static>,
    code: u32,
    input: &[u8],
) -> Result<T, String> {
    let Outcome { status, output, .. } = ask(guest, target, code, input, size_of::<T>())?;
    if status != 0 {
        return Err(format!("control code {code:#x}: status {status:#010x}"));
    }
    T::read_from_bytes(&output).map_err(|_| {
        format!("control code {code:#x}: an answer of {} bytes, not {}", output.len(), size_of::<T>())
    })
}

/// The books of the module with this index; none if there is no such module.
fn module(guest: &dyn Guest, index: u32) -> Result<Option<Counters>, String> {
    let select = Select { header: Header::of::<Select>(), module: index, reserved: 0 };
    let asked = ask(guest, FILTER, filter::COUNTERS, select.as_bytes(), size_of::<Counters>());
    let Outcome { status, output, .. } = match asked {
        // its driver is not loaded
        Err(Refusal { status: STATUS_OBJECT_NAME_NOT_FOUND, .. }) => return Ok(None),
        asked => asked?,
    };
    match status {
        0 => {
            Counters::read_from_bytes(&output).map(Some).map_err(|_| "the filter counts otherwise".to_owned())
        }
        STATUS_DEVICE_DOES_NOT_EXIST => Ok(None),
        _ => Err(format!("the filter's counters: status {status:#010x}")),
    }
}

/// Whether the filter's module runs; false also if there is none.
///
/// # Errors
/// The filter cannot be asked, or it lies over several adapters, of which nobody knows which is the NIC's.
pub fn runs(guest: &dyn Guest) -> Result<bool, String> {
    if module(guest, 1)?.is_some() {
        return Err("the filter lies over several adapters: unbind it from all but the NIC \
            (Disable-NetAdapterBinding -ComponentID cancelnic_lwf)"
            .into());
    }
    Ok(module(guest, 0)?.is_some_and(|counters| counters.running == 1))
}

/// Whether the filter has a module.
///
/// # Errors
/// The filter cannot be asked.
pub fn is_attached(guest: &dyn Guest) -> Result<bool, String> {
    Ok(module(guest, 0)?.is_some())
}

impl Sends {
    /// Sends frames of the filter's own; done when they have been queued or passed down.
    ///
    /// # Errors
    /// The filter refuses, or cannot send such frames.
    pub fn send(
        &self,
        guest: &dyn Guest,
        (first, count): (u64, u32),
        len: u32,
        fragments: u32,
        cancel_id: u64,
    ) -> Result<(), Fault> {
        if fragments != 1 {
            return Err(Fault::unsupported("send", "the filter's frames have one fragment each"));
        }
        if !runs(guest)? {
            return Err(Fault::Failed("the filter's module over the NIC does not run".into()));
        }
        let groups = u32::from(cancel_id != 0);
        let send =
            filter::Send { header: Header::of::<filter::Send>(), module: 0, groups, first, count, len };
        if !send.is_allowed() {
            let why =
                format!("{count} frames of {len} bytes from number {first} on are not what the filter sends");
            return Err(why.into());
        }
        // held over the request: a cancel beside it then finds the ID, or comes before
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let sent: Sent = told(guest, FILTER, filter::SEND, send.as_bytes())?;
        if groups > 0 {
            ids.entry(cancel_id).or_default().push(sent.ids[0]);
        }
        Ok(())
    }

    /// Cancels what was sent under the rig's ID.
    ///
    /// # Errors
    /// Nothing was; the filter cancels only by IDs of its own.
    pub fn cancel(&self, guest: &dyn Guest, cancel_id: u64) -> Result<(), Fault> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(&cancel_id).cloned();
        let ids = ids.ok_or_else(|| {
            let why =
                format!("the filter cancels by IDs of its own only, and none stands for {cancel_id:#x}");
            Fault::unsupported("cancel_send", &why)
        })?;
        for cancel_id in ids {
            let cancel =
                filter::Cancel { header: Header::of::<filter::Cancel>(), module: 0, reserved: 0, cancel_id };
            let Outcome { status, .. } = ask(guest, FILTER, filter::CANCEL, cancel.as_bytes(), 0)?;
            if status != 0 {
                return Err(format!("the filter's cancel of {cancel_id:#x}: status {status:#010x}").into());
            }
        }
        Ok(())
    }
}

/// What the drivers count, as far as they are there to be asked.
///
/// # Errors
/// Neither driver can be asked.
pub fn report(guest: &dyn Guest) -> Result<Reply, Fault> {
    let mut counters = BTreeMap::new();
    let nic = Target::Class(NIC_INTERFACE);
    let of_nic = told(guest, nic, nic::COUNTERS, &[]).and_then(|counts| {
        let rings: nic::RingSnapshot = told(guest, nic, nic::RINGS, &[])?;
        add_nic(&mut counters, &counts, &rings);
        Ok(())
    });
    let of_filter = module(guest, 0).and_then(|found| found.ok_or_else(|| "the filter has no module".into()));
    match (of_nic, of_filter) {
        (Err(nic), Err(filter)) => return Err(format!("{nic}; {filter}").into()),
        (_, Ok(found)) => add_filter(&mut counters, &found),
        (Ok(()), Err(_)) => {}
    }
    Ok(Reply { counters, ..Reply::default() })
}

/// Puts fields under `PREFIX.FIELD`.
macro_rules! add {
    ($into:expr, $prefix:literal, $from:expr, [$($field:ident),+ $(,)?]) => {
        $($into.insert(concat!($prefix, ".", stringify!($field)).to_owned(), u64::from($from.$field));)+
    };
}

fn add_nic(into: &mut BTreeMap<String, u64>, counts: &nic::Counters, rings: &nic::RingSnapshot) {
    add!(into, "nic.tx", counts.tx, [posted, sent, taken_back, never_posted, refused, lost]);
    add!(into, "nic.rx", counts.rx, [posted, received, returned_empty, malformed]);
    add!(into, "nic", counts, [cancels, waiting]);
    add!(into, "nic.rings.tx", rings.tx, [started, elements, begin, next, end]);
    add!(into, "nic.rings.rx", rings.rx, [started, elements, begin, next, end]);
}

fn add_filter(into: &mut BTreeMap<String, u64>, counters: &Counters) {
    add!(
        into,
        "filter",
        counters,
        [
            gate_closed,
            running,
            held_now,
            own_outstanding,
            own_originated,
            own_success,
            own_aborted,
            own_paused,
            own_failed,
            passed_down,
            passed_up,
            queued,
            cancelled,
            refused,
            cancel_calls,
            cancels_passed_on,
            received,
            returned,
            bypassed,
        ]
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretend::Pretend;

    #[test]
    fn frames_without_an_id_are_sent_unmarked() {
        let guest = Pretend::default();
        Sends::default().send(&guest, (5, 64), 60, 1, 0).unwrap();
        assert_eq!(guest.done(), ["send module=0 groups=0 first=5 count=64 len=60"]);
        assert_eq!(guest.closed(), guest.opened());
    }

    #[test]
    fn a_cancel_finds_every_id_that_stands_for_the_rigs() {
        let guest = Pretend::default();
        let sends = Sends::default();
        for (first, id) in [(1, 7), (2, 8), (3, 7)] {
            sends.send(&guest, (first, 1), 60, 1, id).unwrap();
        }
        sends.cancel(&guest, 7).unwrap();
        assert_eq!(guest.done()[3..], ["cancel 0xaa00000000000001", "cancel 0xaa00000000000003"]);
    }

    #[test]
    fn an_id_that_marks_nothing_cannot_be_cancelled_here() {
        let guest = Pretend::default();
        for id in [0, 9] {
            let Err(Fault::Unsupported(why)) = Sends::default().cancel(&guest, id) else { panic!("{id}") };
            assert!(why.starts_with("cancel_send: "), "{why}");
        }
        assert!(guest.done().is_empty());
    }

    #[test]
    fn what_the_filter_cannot_send_is_not_sent() {
        let guest = Pretend::default();
        let send = |frames, len, fragments| Sends::default().send(&guest, frames, len, fragments, 0);
        assert!(matches!(send((1, 1), 60, 2), Err(Fault::Unsupported(_))));
        for (frames, len) in [((1, 0), 60), ((1, 1), 59), ((1, 1), 1515), ((u64::MAX, 2), 60)] {
            assert!(matches!(send(frames, len, 1), Err(Fault::Failed(_))), "{frames:?} {len}");
        }
        assert!(guest.done().is_empty());
    }

    #[test]
    fn over_several_adapters_nothing_is_sent() {
        let guest = Pretend { modules: 2, ..Pretend::default() };
        let Err(Fault::Failed(error)) = Sends::default().send(&guest, (1, 1), 60, 1, 0) else {
            panic!("sent")
        };
        assert!(error.contains("Disable-NetAdapterBinding"), "{error}");
    }

    #[test]
    fn a_report_has_both_drivers_books() {
        let counters = report(&Pretend::default()).unwrap().counters;
        for (name, value) in [
            ("nic.tx.taken_back", 9),
            ("nic.rings.rx.elements", 256),
            ("nic.rings.rx.end", 3),
            ("filter.own_aborted", 7),
        ] {
            assert_eq!(counters.get(name), Some(&value), "{name}");
        }
        // every field of the structures but headers and what is reserved
        let fields =
            (size_of::<nic::Counters>() + size_of::<Counters>() - 2 * size_of::<Header>()) / 8 + 1 + 10;
        assert_eq!(counters.len(), fields);
    }

    #[test]
    fn a_report_without_a_filter_has_the_nics_books() {
        let counters = report(&Pretend { modules: 0, ..Pretend::default() }).unwrap().counters;
        assert!(counters.keys().all(|name| name.starts_with("nic.")) && !counters.is_empty());
    }
}
