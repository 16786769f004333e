//! Wires that lead out of this process: to a socket, a network interface of the host, or a recording. A frame that the device
//! sends waits here, in a bounded place, for the thread that hands it to the [`Port`], so that no queue ever waits for whoever is
//! at the far end; what finds no place, or nobody there, is lost and counted, as on any wire.

mod dgram;
mod replay;
mod stream;
mod tap;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use cancelnic_model::Frame;

use crate::cli::WireKind;
use crate::nic::{Nic, SHORTEST_FRAME};
use crate::sockets::Place;

/// Bytes of memory that frames on their way out take up, at most.
const MOST_OUT: usize = 8 << 20;
/// Bytes of the longest frame that any port can bring: a length of 16 bits and both headers.
const LONGEST: usize = 65_535 + 18;

/// Where frames leave and enter this process. One thread sends, another one receives.
trait Port: Send + Sync {
    /// Sends a frame. May wait for a peer that is there and does not read; never for one to come.
    ///
    /// # Errors
    /// Nobody has got it.
    fn send(&self, frame: &[u8]) -> io::Result<()>;

    /// Waits for the next frame and puts it into `frame`.
    ///
    /// # Errors
    /// None comes any more.
    fn receive(&self, frame: &mut Vec<u8>) -> io::Result<()>;
}

/// What is at the far end of the wire.
pub(crate) enum Far {
    /// Nothing ever comes back.
    Null,
    /// Every frame comes back at once.
    Loopback,
    /// Something outside of this process.
    Outside(Outside),
}

/// The near end of a wire that leads out of this process.
pub(crate) struct Outside {
    port: Box<dyn Port>,
    out: Mutex<Out>,
    came: Condvar,
    lost: AtomicU64,
    is_up: AtomicBool,
    begun: Mutex<bool>,
    begins: Condvar,
}

/// Frames on their way out.
#[derive(Default)]
struct Out {
    frames: VecDeque<Frame>,
    bytes: usize,
}

/// Opens the wire, and its place in the file system if it has one. To be called before the sandbox is entered.
pub(crate) fn open(wire: &WireKind) -> anyhow::Result<(Far, Option<Place>)> {
    let (port, place): (Box<dyn Port>, _) = match wire {
        WireKind::Null => return Ok((Far::Null, None)),
        WireKind::Loopback => return Ok((Far::Loopback, None)),
        WireKind::Stream(path) => {
            let (port, place) = stream::Stream::open(path)?;
            (Box::new(port), place)
        }
        WireKind::Dgram { ours, theirs } => {
            let (port, place) = dgram::Dgram::open(ours, theirs)?;
            (Box::new(port), Some(place))
        }
        WireKind::Replay(path) => (Box::new(replay::Replay::open(path)?), None),
        WireKind::Tap(name) => (Box::new(tap::Tap::open(name)?), None),
    };
    Ok((Far::Outside(Outside::new(port)), place))
}

/// Starts the threads of a wire that leads out of this process. They end with the process.
pub(crate) fn start(nic: &Arc<Nic>) -> io::Result<()> {
    if nic.outside().is_none() {
        return Ok(());
    }
    let (sends, receives) = (nic.clone(), nic.clone());
    let thread = |name: &str| thread::Builder::new().name(name.into());
    thread("wire-out").spawn(move || sends.outside().map(Outside::send_all))?;
    thread("wire-in").spawn(move || receives.receive_from_outside())?;
    Ok(())
}

impl Outside {
    fn new(port: Box<dyn Port>) -> Outside {
        Outside {
            port,
            out: Mutex::default(),
            came: Condvar::new(),
            lost: AtomicU64::new(0),
            is_up: AtomicBool::new(true),
            begun: Mutex::new(false),
            begins: Condvar::new(),
        }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the link is up: while it is not, every frame is lost, whichever way it goes.
    pub(crate) fn set_up(&self, up: bool) {
        self.is_up.store(up, Ordering::SeqCst);
    }

    /// Frames that were lost on this wire.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::SeqCst);
    }

    /// `frame` is on its way out. Never waits; gives its memory back if it is lost.
    pub(crate) fn send(&self, frame: Frame) -> Option<Frame> {
        let mut out = self.out();
        let bytes = out.bytes.saturating_add(frame.footprint());
        if bytes > MOST_OUT || !self.is_up.load(Ordering::SeqCst) {
            self.lose();
            return Some(frame);
        }
        out.bytes = bytes;
        out.frames.push_back(frame);
        self.came.notify_one();
        None
    }

    /// Hands frames over to the port for as long as the process lives. For one thread.
    pub(crate) fn send_all(&self) {
        loop {
            let frame = {
                let out = self.came.wait_while(self.out(), |out| out.frames.is_empty());
                let mut out = out.unwrap_or_else(PoisonError::into_inner);
                let Some(frame) = out.frames.pop_front() else { continue };
                out.bytes = out.bytes.saturating_sub(frame.footprint());
                frame
            };
            if self.port.send(&frame).is_err() {
                self.lose();
            }
        }
    }

    /// There is a driver: frames are received from now on.
    pub(crate) fn begin(&self) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.begins.notify_all();
    }

    /// Calls `arrived` for each frame that comes and is not longer than `longest`, from [`Outside::begin`] on, until none comes
    /// any more. For one thread.
    pub(crate) fn receive_all(&self, longest: usize, arrived: impl Fn(&[u8])) {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.begins.wait_while(begun, |begun| !*begun));
        let mut frame = Vec::new();
        loop {
            if let Err(error) = self.port.receive(&mut frame) {
                tracing::info!(%error, "no frame comes over the wire any more");
                return;
            }
            let fits = (SHORTEST_FRAME..=longest).contains(&frame.len());
            if fits && self.is_up.load(Ordering::SeqCst) {
                arrived(&frame);
            } else {
                self.lose();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Passes on what is sent once it may, and gives what it is told.
    struct Held(Mutex<Receiver<()>>, Sender<Vec<u8>>, Mutex<Receiver<Vec<u8>>>);

    impl Port for Held {
        fn send(&self, frame: &[u8]) -> io::Result<()> {
            self.0.lock().unwrap().recv().map_err(io::Error::other)?;
            self.1.send(frame.to_vec()).map_err(io::Error::other)
        }

        fn receive(&self, frame: &mut Vec<u8>) -> io::Result<()> {
            *frame = self.2.lock().unwrap().recv().map_err(io::Error::other)?;
            Ok(())
        }
    }

    /// A wire, what lets a frame through, what was sent, and what is to come.
    type Ends = (Arc<Outside>, Sender<()>, Receiver<Vec<u8>>, Sender<Vec<u8>>);

    fn held() -> Ends {
        let ((open, gate), (told, sent), (give, given)) = (channel(), channel(), channel());
        let port = Held(Mutex::new(gate), told, Mutex::new(given));
        (Arc::new(Outside::new(Box::new(port))), open, sent, give)
    }

    #[test]
    fn port_that_hangs_costs_frames_and_a_bounded_amount_of_memory() {
        let (wire, open, sent, _give) = held();
        let kept = MOST_OUT / Frame::from(vec![0; 1500]).footprint();
        for _ in 0..kept + 3 {
            wire.send(Frame::from(vec![0; 1500]));
        }
        assert_eq!(wire.lost(), 3);
        let theirs = wire.clone();
        std::thread::spawn(move || theirs.send_all());
        for _ in 0..kept {
            open.send(()).unwrap();
            assert_eq!(sent.recv().unwrap().len(), 1500);
        }
        drop(sent);
        wire.send(Frame::from(vec![0; 60]));
        open.send(()).unwrap();
        while wire.lost() < 4 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn link_that_is_down_loses_frames_both_ways_and_frames_of_no_length_are_lost() {
        let (wire, _open, _sent, give) = held();
        wire.set_up(false);
        assert!(wire.send(Frame::from(vec![0; 60])).is_some());
        wire.begin();
        let (told, arrived) = channel();
        let theirs = wire.clone();
        let thread = std::thread::spawn(move || {
            theirs.receive_all(1518, |frame| told.send(frame.len()).unwrap());
        });
        give.send(vec![0; 60]).unwrap();
        while wire.lost() < 2 {
            std::thread::yield_now();
        }
        wire.set_up(true);
        for len in [13, 1519, 14, 1518] {
            give.send(vec![0; len]).unwrap();
        }
        drop(give);
        thread.join().unwrap();
        assert_eq!((arrived.iter().collect::<Vec<_>>(), wire.lost()), (vec![14, 1518], 4));
    }
}
