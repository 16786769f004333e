//! The data path as a whole: creation, start, the way down in the framework's order, destruction. PnP thread.
//!
//! Rules: CX10 to CX14, CX34, CX35, CX37 (`driver/docs/netadaptercx.md`).

use super::rx::Receive;
use super::tx::Transmit;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Thread};
use crate::ndis::{binding, books};
use crate::netcx::adapter::{self, Adapter};
use crate::netcx::ec::{Mode, Task};
use crate::netcx::queue::{Above, Queue, QueueInit};
use crate::netcx::watch;
use crate::verifier::{BugCheck, trace};
use crate::wdf::object::{self, Attributes};
use agent_protocol::{QueueReport, QueueView};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use cancelnic_registers::Direction;
use core::sync::atomic::Ordering::Relaxed;
use netadaptercx_sys::{NETADAPTER, PNETRXQUEUE_INIT, PNETTXQUEUE_INIT};
use spin::Once;
use understudy_rules::ndis::ledger::List;
use understudy_rules::netcx::ledger::{RxLedger, TxLedger};
use understudy_rules::wdf::table::Handle;

/// A packet queue with what is above it.
struct Lane<T> {
    queue: Arc<Queue>,
    above: Arc<T>,
}

impl<T> Clone for Lane<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), above: self.above.clone() }
    }
}

/// The queues, whether the data path runs, and the books that earlier queues have left.
struct Path {
    tx: Option<Lane<Transmit>>,
    rx: Option<Lane<Receive>>,
    running: bool,
    tx_books: Option<TxLedger>,
    rx_books: Option<RxLedger>,
}

static PATH: IrqLock<Path> =
    IrqLock::new(Path { tx: None, rx: None, running: false, tx_books: None, rx_books: None });

/// How long a queue may stay unready after the device fell silent, in microseconds.
const HANG_BOUND_US: u64 = 3_000_000;
/// How long indicated lists may stay above once the gate is closed, in microseconds.
const RETURN_BOUND_US: u64 = 10_000_000;
/// Distance between two looks at the device while waiting, in microseconds.
const LOOK_US: u64 = 50_000;

/// Distance between two looks at sleeping queues, in microseconds.
const SLEEP_LOOK_US: u64 = 100_000;

/// Set while the data path runs.
static UP: Event = Event::manual();
/// Whoever looks at sleeping queues is there.
static WATCHER: Once = Once::new();

fn tx() -> Option<Lane<Transmit>> {
    PATH.with(|path| path.tx.clone())
}

fn rx() -> Option<Lane<Receive>> {
    PATH.with(|path| path.rx.clone())
}

/// The queues, Tx before Rx.
fn queues() -> Vec<Arc<Queue>> {
    let queues = [tx().map(|lane| lane.queue), rx().map(|lane| lane.queue)];
    queues.into_iter().flatten().collect()
}

/// Whether the data path runs.
pub(crate) fn is_running() -> bool {
    PATH.with(|path| path.running)
}

/// Whether there are queues.
pub(crate) fn exists() -> bool {
    PATH.with(|path| path.tx.is_some() || path.rx.is_some())
}

/// Creates the default queues: Tx, then Rx.
///
/// # Errors
/// The driver's status; PnP then reports the device as failed.
pub(crate) fn create() -> Result<(), String> {
    let Some((handle, adapter)) = adapter::current().filter(|(_, adapter)| adapter.started.load(Relaxed))
    else {
        return Err("the driver has started no adapter".into());
    };
    let books = PATH.with(|path| path.tx_books.take()).unwrap_or_default();
    let above = Arc::new(Transmit::new(books)?);
    match create_queue((handle, &adapter), Direction::Tx, above.clone()) {
        Ok(queue) => PATH.with(|path| path.tx = Some(Lane { queue, above })),
        Err(why) => {
            PATH.with(|path| path.tx_books = Some(above.take_books()));
            return Err(why);
        }
    }
    let books = PATH.with(|path| path.rx_books.take()).unwrap_or_default();
    let above = Arc::new(Receive::new(books, crate::settings::ring(), adapter.rx_capacity())?);
    match create_queue((handle, &adapter), Direction::Rx, above.clone()) {
        Ok(queue) => PATH.with(|path| path.rx = Some(Lane { queue, above })),
        Err(why) => {
            PATH.with(|path| path.rx_books = Some(above.take_books()));
            return Err(why);
        }
    }
    Ok(())
}

/// Has the driver create one queue.
fn create_queue(
    (handle, adapter): (Handle, &Adapter),
    direction: Direction,
    above: Arc<dyn Above>,
) -> Result<Arc<Queue>, String> {
    let (what, name) = match direction {
        Direction::Tx => ("EvtAdapterCreateTxQueue", "tx0"),
        Direction::Rx => ("EvtAdapterCreateRxQueue", "rx0"),
    };
    let init = Arc::new(QueueInit {
        direction,
        id: 0,
        thread: crate::ke::current_thread(),
        above,
        made: IrqLock::new(None),
    });
    let init_handle = object::create(what, init.clone(), None, Attributes::NONE);
    let raw = init_handle.raw();
    let adapter_raw = handle.raw() as NETADAPTER;
    let status = match direction {
        Direction::Tx => adapter.callbacks.EvtAdapterCreateTxQueue.map(|callback| {
            // SAFETY: the driver's callback with its adapter and a live init handle, at PASSIVE_LEVEL.
            trace::callback(name, what, || unsafe { callback(adapter_raw, raw as PNETTXQUEUE_INIT) })
        }),
        Direction::Rx => adapter.callbacks.EvtAdapterCreateRxQueue.map(|callback| {
            // SAFETY: as above.
            trace::callback(name, what, || unsafe { callback(adapter_raw, raw as PNETRXQUEUE_INIT) })
        }),
    };
    let made = init.made.with(Option::take);
    object::delete(init_handle);
    match (status, made) {
        (Some(0..), Some(queue)) => Ok(queue),
        (Some(0..), None) => Err(format!("{what} succeeded without a queue: STATUS_UNSUCCESSFUL")),
        (status, _) => Err(format!("{what} failed with {:#010x}", status.unwrap_or(-1))),
    }
}

/// Opens the gates and starts Tx, then Rx.
pub(crate) fn start() {
    if let Some(lane) = tx() {
        let limits = adapter::current().map(|(_, adapter)| (adapter.tx_fragments(), adapter.mtu()));
        // a packet must fit into the fragment ring, of which one element stays empty
        let most = lane.queue.fragments.mask() as usize;
        lane.above.open(limits.map(|(fragments, mtu)| (fragments.min(most), mtu)));
    }
    if let Some(lane) = rx() {
        lane.above.set_open(true);
    }
    queues().iter().for_each(|queue| queue.start());
    PATH.with(|path| path.running = true);
    UP.set();
    if crate::settings::wake_ms() != 0 {
        WATCHER.call_once(|| Thread::spawn("watcher of sleeping queues", Box::new(watch_sleeping)));
    }
}

/// Looks at the queues as long as the data path runs: does one sleep before completions? The machine has to run for
/// each look, so that one that was stopped, or got no processor, uses up no bound.
fn watch_sleeping() {
    let bound = u64::from(crate::settings::wake_ms()) * 1000;
    let looks = bound.div_ceil(SLEEP_LOOK_US) as u32;
    loop {
        UP.wait();
        crate::ke::delay_us(SLEEP_LOOK_US);
        queues().iter().for_each(|queue| queue.look_asleep(looks));
    }
}

/// Takes the data path down as a pause does; each queue's EvtCancel is called `cancels` times.
pub(crate) fn pause(cancels: u32) {
    let queues = queues();
    // 1: the Rx gate closes, and every indicated list comes back while the queues still poll
    if let Some(lane) = rx() {
        lane.above.set_open(false);
        wait_returned(&lane);
    }
    // 2: the Tx gate
    if let Some(lane) = tx() {
        lane.above.close();
    }
    // 3: cancel all Tx, then all Rx, one wake each
    for queue in &queues {
        queue.ec.set_mode(Mode::Stopping);
        (0..cancels).for_each(|_| queue.ec.run_task(Task::Cancel));
        queue.ec.wake();
    }
    // 4 and 5: Tx, then Rx: empty, stop
    for queue in &queues {
        wait_ready(queue);
        queue.ec.set_mode(Mode::None);
        let settled = queue.above.stopped().and_then(|()| match queue.direction {
            Direction::Tx => binding::check_buffers().map_err(|place| ("TxBufferWrittenAfterReturn", place)),
            Direction::Rx => Ok(()),
        });
        if let Err((rule, place)) = settled {
            queue.stop(rule, 0, format!("{}: {place}", queue.name));
        }
        queue.ec.run_task(Task::Stop);
    }
    UP.reset();
    PATH.with(|path| path.running = false);
}

/// Waits until every list that the queue has indicated is back. The framework has no bound here; a filter or protocol
/// that keeps one for so long has forgotten it.
fn wait_returned(lane: &Lane<Receive>) {
    let since = crate::ke::now_us();
    while lane.above.lists_out() != 0 {
        lane.above.wait_returned(LOOK_US);
        if crate::ke::now_us().saturating_sub(since) > RETURN_BOUND_US {
            let place =
                format!("{}: {} indicated lists have not come back", lane.queue.name, lane.above.lists_out());
            lane.queue.stop("NdisFilterTimedDataReceive", 0, place);
        }
    }
}

/// Waits until the queue is empty. There is no timeout while the device may still answer; once it is silent, a queue
/// that stays unready hangs for ever, and that is named.
fn wait_ready(queue: &Queue) {
    let mut quiet_since = None;
    let mut seen = (u32::MAX, 0);
    while !queue.ready.wait_timeout(LOOK_US) {
        let now = crate::ke::now_us();
        let held = (queue.packets.held(), queue.fragments.held());
        if seen != held || !watch::is_quiet(queue.direction) {
            seen = held;
            quiet_since = None;
            continue;
        }
        let since = *quiet_since.get_or_insert(now);
        if now.saturating_sub(since) > HANG_BOUND_US {
            report_hang(queue);
        }
    }
}

fn report_hang(queue: &Queue) -> ! {
    let view = queue.view();
    let place = format!(
        "{}: {} packets and {} fragments kept while the device is silent",
        queue.name,
        view.packets.owned(),
        view.fragments.owned()
    );
    let callback = format!("{} {}", queue.name, view.last_callback);
    trace::stop_hung(callback, BugCheck::WDF_VIOLATION, "QueueNotDrained", place, view)
}

/// The queues down to their indices.
pub(crate) fn inspect() -> Vec<QueueView> {
    queues().iter().map(|queue| queue.view()).collect()
}

/// Pauses if running and destroys the queues; their books stay.
pub(crate) fn take_down() {
    if is_running() {
        pause(1);
    }
    if let Some(lane) = tx() {
        destroy(&lane.queue);
        PATH.with(|path| path.tx_books = Some(lane.above.take_books()));
    }
    if let Some(lane) = rx() {
        destroy(&lane.queue);
        PATH.with(|path| path.rx_books = Some(lane.above.take_books()));
    }
    let gone = PATH.with(|path| (path.tx.take(), path.rx.take()));
    drop(gone);
}

fn destroy(queue: &Queue) {
    queue.ec.end();
    object::delete(Handle::from_raw(queue.handle()));
}

/// Forgets the books of an earlier driver.
pub(crate) fn forget_books() {
    binding::forget();
    let old = PATH.with(|path| (path.tx_books.take(), path.rx_books.take()));
    drop(old);
}

/// Gives lists to the translator. Those that it returns met a closed gate, or no queue: they are to be completed
/// NDIS_STATUS_PAUSED. Up to DISPATCH_LEVEL.
pub(crate) fn send_lists(lists: &[List]) -> Vec<List> {
    let Some(lane) = tx() else { return lists.to_vec() };
    // read before, as nothing long is done with interrupts off
    let numbered: Vec<_> = lists.iter().map(|&list| (list, books::numbers(list))).collect();
    let refused = lane.above.accept(&numbered);
    lane.queue.ec.wake();
    refused
}

/// Frames that somebody above the translator completed NDIS_STATUS_PAUSED.
pub(crate) fn refused(numbers: &[Option<u64>]) {
    match tx() {
        Some(lane) => lane.above.refuse(numbers),
        None => PATH.with(|path| {
            if let Some(books) = &mut path.tx_books {
                numbers.iter().flatten().for_each(|&number| books.refuse(number));
            }
        }),
    }
}

/// Received lists come back. Up to DISPATCH_LEVEL.
pub(crate) fn return_lists(lists: &[List]) {
    if let Some(lane) = rx() {
        lane.above.give_back(lists);
        lane.queue.ec.wake();
    }
}

/// Both queues, also after their destruction.
pub(crate) fn report() -> Vec<QueueReport> {
    let live: Vec<QueueReport> = queues().iter().map(|queue| queue.report()).collect();
    if !live.is_empty() {
        return live;
    }
    PATH.with(|path| {
        let tx = path.tx_books.as_ref().map(|books| books.report("tx0"));
        let rx = path.rx_books.as_ref().map(|books| books.report("rx0"));
        tx.into_iter().chain(rx).collect()
    })
}
