//! A frame's bytes, in memory that is used for one frame after another: none is allocated for a frame.

use std::ops::Deref;

/// Bytes that fresh memory has: a frame of the usual length fits.
const USUAL: usize = 2048;
/// Pieces of memory that a pool keeps.
const KEPT: usize = 512;

/// A frame, without `virtio_net_hdr`.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// As long as the longest frame that was in it.
    memory: Vec<u8>,
    len: usize,
}

impl Frame {
    /// Makes it a frame of `len` bytes, to be overwritten: they hold what was there before.
    pub(crate) fn reshape(&mut self, len: usize) -> &mut [u8] {
        if self.memory.len() < len {
            self.memory.resize(len.max(USUAL), 0);
        }
        self.len = len;
        self.memory.get_mut(..len).unwrap_or_default()
    }

    /// Bytes of memory that it takes up.
    pub fn footprint(&self) -> usize {
        self.memory.capacity().saturating_add(size_of::<Frame>())
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}

impl From<Vec<u8>> for Frame {
    fn from(memory: Vec<u8>) -> Frame {
        let len = memory.len();
        Frame { memory, len }
    }
}

/// Memory of frames that are done with, for the next ones. Bounded: what does not fit is given up.
#[derive(Debug, Default)]
pub struct Pool(Vec<Frame>);

impl Pool {
    /// Keeps the memory of `frame`.
    pub fn give(&mut self, frame: Frame) {
        if self.0.len() < KEPT && frame.memory.capacity() <= USUAL {
            self.0.push(frame);
        }
    }

    /// Memory for a frame, if there is any.
    pub fn take(&mut self) -> Option<Frame> {
        self.0.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_for_a_frame_of_another_length() {
        let mut pool = Pool::default();
        assert!(pool.take().is_none());
        let mut frame = Frame::default();
        frame.reshape(1500).fill(7);
        let at = frame.as_ptr();
        pool.give(frame);
        let mut frame = pool.take().unwrap();
        frame.reshape(60).copy_from_slice(&[1; 60]);
        assert_eq!((frame.as_ptr(), &frame[..]), (at, &[1; 60][..]));
        assert_eq!(Frame::from(vec![1, 2])[..], [1, 2]);
    }

    #[test]
    fn memory_of_a_frame_of_unusual_length_is_not_kept() {
        let mut pool = Pool::default();
        let mut frame = Frame::default();
        frame.reshape(65_538);
        pool.give(frame);
        assert!(pool.take().is_none());
        for _ in 0..2 * KEPT {
            pool.give(Frame::default());
        }
        assert_eq!(pool.0.len(), KEPT);
    }
}
