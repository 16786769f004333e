//! The data path as a whole: creation, start, the way down in the framework's order, destruction. PnP thread.
//!
//! Rules: CX10 to CX14, CX34, CX35, CX37 (`driver/docs/netadaptercx.md`).

use super::adapter;
use super::ec::{Mode, Task};
use super::queue::{Queue, QueueBooks, QueueInit, Traffic};
use super::watch;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Thread};
use crate::ndis::{books, protocol};
use crate::verifier::{BugCheck, trace};
use crate::wdf::object::{self, Attributes, Payload};
use agent_protocol::{QueueReport, QueueView};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::Ordering::Relaxed;
use netadaptercx_sys::{NETADAPTER, PNETRXQUEUE_INIT, PNETTXQUEUE_INIT};
use spin::Once;
use understudy_rules::ndis::ledger::List;
use understudy_rules::netcx::verifier::Direction;
use understudy_rules::wdf::table::Handle;

/// The queues, Tx before Rx, and whether the data path runs.
struct Path {
    queues: Vec<Arc<Queue>>,
    running: bool,
    tx_books: Option<QueueBooks>,
    rx_books: Option<QueueBooks>,
}

static PATH: IrqLock<Path> =
    IrqLock::new(Path { queues: Vec::new(), running: false, tx_books: None, rx_books: None });

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

fn queues() -> Vec<Arc<Queue>> {
    let count = PATH.with(|path| path.queues.len());
    // cloned one by one, so that nothing is allocated with interrupts off
    (0..count).filter_map(|at| PATH.with(|path| path.queues.get(at).cloned())).collect()
}

/// Whether the data path runs.
pub fn is_running() -> bool {
    PATH.with(|path| path.running)
}

/// Whether there are queues.
pub fn exists() -> bool {
    PATH.with(|path| !path.queues.is_empty())
}

/// Books that an earlier queue of this direction left.
pub fn take_books(direction: Direction) -> Option<QueueBooks> {
    PATH.with(|path| if direction == Direction::Tx { path.tx_books.take() } else { path.rx_books.take() })
}

/// Creates the default queues: Tx, then Rx.
///
/// # Errors
/// The driver's status; PnP then reports the device as failed.
pub fn create() -> Result<(), String> {
    let Some((handle, adapter)) = adapter::current().filter(|(_, adapter)| adapter.started.load(Relaxed))
    else {
        return Err("the driver has started no adapter".into());
    };
    for direction in [Direction::Tx, Direction::Rx] {
        let (what, name) = match direction {
            Direction::Tx => ("EvtAdapterCreateTxQueue", "tx0"),
            Direction::Rx => ("EvtAdapterCreateRxQueue", "rx0"),
        };
        let init = Arc::new(QueueInit {
            direction,
            id: 0,
            thread: crate::ke::current_thread(),
            made: IrqLock::new(None),
        });
        let init_handle = object::create(what, Payload::QueueInit(init.clone()), None, Attributes::NONE);
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
            (Some(0..), Some(queue)) => PATH.with(|path| path.queues.push(queue)),
            (Some(0..), None) => {
                return Err(format!("{what} succeeded without a queue: STATUS_UNSUCCESSFUL"));
            }
            (status, _) => return Err(format!("{what} failed with {:#010x}", status.unwrap_or(-1))),
        }
    }
    Ok(())
}

/// Opens the gates and starts Tx, then Rx.
pub fn start() {
    let limits = adapter::current().map(|(_, adapter)| (adapter.tx_fragments(), adapter.mtu()));
    for queue in queues() {
        queue.traffic.with(|traffic| match traffic {
            Traffic::Tx(sender) => {
                if let Some((fragments, mtu)) = limits {
                    // a packet must fit into the fragment ring, of which one element stays empty
                    sender.most_fragments = fragments.min(queue.fragments.mask() as usize);
                    sender.set_mtu(mtu);
                }
                sender.open = true;
            }
            Traffic::Rx(receiver) => receiver.open = true,
        });
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
pub fn pause(cancels: u32) {
    let queues = queues();
    // 1: the Rx gate closes, and every indicated list comes back while the queues still poll
    for queue in &queues {
        queue.traffic.with(|traffic| {
            if let Traffic::Rx(receiver) = traffic {
                receiver.open = false;
            }
        });
        wait_returned(queue);
    }
    // 2: the Tx gate
    for queue in &queues {
        queue.traffic.with(|traffic| {
            if let Traffic::Tx(sender) = traffic {
                sender.open = false;
            }
        });
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
        let settled = queue.traffic.with(|traffic| match traffic {
            Traffic::Tx(sender) => sender.paused(),
            Traffic::Rx(receiver) => receiver.stopped(),
        });
        let settled = settled.and_then(|()| match queue.direction {
            Direction::Tx => protocol::check_buffers().map_err(|place| ("TxBufferWrittenAfterReturn", place)),
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
fn wait_returned(queue: &Queue) {
    let since = crate::ke::now_us();
    let above = || {
        queue.traffic.with(|traffic| match traffic {
            Traffic::Tx(_) => 0,
            Traffic::Rx(receiver) => receiver.above(),
        })
    };
    while above() != 0 {
        queue.returned.wait_timeout(LOOK_US);
        if crate::ke::now_us().saturating_sub(since) > RETURN_BOUND_US {
            let place = format!("{}: {} indicated lists have not come back", queue.name, above());
            queue.stop("NdisFilterTimedDataReceive", 0, place);
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
pub fn inspect() -> Vec<QueueView> {
    queues().iter().map(|queue| queue.view()).collect()
}

/// Pauses if running and destroys the queues; their books stay.
pub fn take_down() {
    if is_running() {
        pause(1);
    }
    for queue in queues() {
        queue.ec.end();
        let books = queue.take_books();
        object::delete(Handle::from_raw(queue.handle()));
        PATH.with(|path| match queue.direction {
            Direction::Tx => path.tx_books = Some(books),
            Direction::Rx => path.rx_books = Some(books),
        });
    }
    let gone = PATH.with(|path| core::mem::take(&mut path.queues));
    drop(gone);
}

/// Forgets the books of an earlier driver.
pub fn forget_books() {
    protocol::forget();
    let old = PATH.with(|path| (path.tx_books.take(), path.rx_books.take()));
    drop(old);
}

fn tx_queue() -> Option<Arc<Queue>> {
    queues().into_iter().find(|queue| queue.direction == Direction::Tx)
}

/// Gives lists to the translator. Those that it returns met a closed gate, or no queue: they are to be completed
/// NDIS_STATUS_PAUSED. Up to DISPATCH_LEVEL.
pub fn send_lists(lists: &[List]) -> Vec<List> {
    let Some(queue) = tx_queue() else { return lists.to_vec() };
    // read before, as nothing long is done with interrupts off
    let numbered: Vec<_> = lists.iter().map(|&list| (list, books::numbers(list))).collect();
    let mut refused = Vec::with_capacity(lists.len());
    queue.traffic.with(|traffic| {
        if let Traffic::Tx(sender) = traffic {
            refused.extend(
                numbered
                    .iter()
                    .filter(|(list, numbers)| !sender.accept(*list, numbers))
                    .map(|(list, _)| *list),
            );
        }
    });
    queue.ec.wake();
    refused
}

/// Frames that somebody above the translator completed NDIS_STATUS_PAUSED.
pub fn refused(numbers: &[Option<u64>]) {
    if let Some(queue) = tx_queue() {
        queue.traffic.with(|traffic| {
            if let Traffic::Tx(sender) = traffic {
                numbers.iter().flatten().for_each(|&number| sender.books.refuse(number));
            }
        });
        return;
    }
    PATH.with(|path| {
        if let Some(QueueBooks::Tx(books)) = &mut path.tx_books {
            numbers.iter().flatten().for_each(|&number| books.refuse(number));
        }
    });
}

/// Received lists come back. Up to DISPATCH_LEVEL.
pub fn return_lists(lists: &[List]) {
    let Some(queue) = queues().into_iter().find(|queue| queue.direction == Direction::Rx) else { return };
    queue.traffic.with(|traffic| {
        if let Traffic::Rx(receiver) = traffic {
            lists.iter().for_each(|&list| receiver.give_back(list));
        }
    });
    queue.returned.set();
    queue.ec.wake();
}

/// Both queues, also after their destruction.
pub fn report() -> Vec<QueueReport> {
    let live: Vec<QueueReport> = queues().iter().map(|queue| queue.report()).collect();
    if !live.is_empty() {
        return live;
    }
    PATH.with(|path| {
        let books = [path.tx_books.as_ref(), path.rx_books.as_ref()];
        books
            .into_iter()
            .flatten()
            .map(|books| match books {
                QueueBooks::Tx(books) => books.report("tx0"),
                QueueBooks::Rx(books) => books.report("rx0"),
            })
            .collect()
    })
}
