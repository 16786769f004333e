//! A bounded log of records, read in order and once. Pure: the caller locks it and fills the records in.

use core::ops::DerefMut;

use cancelnic_ioctl::Header;
use cancelnic_ioctl::log::{LogAnswer, Record};
use zerocopy::IntoBytes;

/// The records that have not been read.
pub struct Log<S> {
    storage: S,
    first: usize,
    count: usize,
    sequence: u32,
    lost: u32,
}

impl<S: DerefMut<Target = [Record]>> Log<S> {
    /// An empty log with room for as many records as `storage` has.
    pub const fn new(storage: S) -> Self {
        Self { storage, first: 0, count: 0, sequence: 0, lost: 0 }
    }

    /// Writes a record and numbers it; without room it is counted as lost.
    pub fn push(&mut self, record: Record) {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let room = self.storage.len();
        if self.count == room {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let at = (self.first + self.count) % room;
        self.storage[at] = Record { sequence, ..record };
        self.count += 1;
    }

    /// Takes out as many records as fit behind the head of the answer, the oldest first; the length of the answer.
    /// Nothing, and 0, if not even the head fits.
    pub fn read(&mut self, output: &mut [u8]) -> usize {
        let Some((head, mut rest)) = output.split_at_mut_checked(size_of::<LogAnswer>()) else { return 0 };
        let mut count = 0;
        while self.count != 0
            && let Some((to, after)) = rest.split_at_mut_checked(size_of::<Record>())
        {
            to.copy_from_slice(self.storage[self.first].as_bytes());
            rest = after;
            self.first = (self.first + 1) % self.storage.len();
            self.count -= 1;
            count += 1;
        }
        let answer = LogAnswer { header: Header::of::<LogAnswer>(), count, lost: self.lost };
        self.lost = 0;
        head.copy_from_slice(answer.as_bytes());
        size_of::<LogAnswer>() + count as usize * size_of::<Record>()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{vec, vec::Vec};

    use zerocopy::FromBytes;

    use super::*;

    fn log(room: usize) -> Log<Vec<Record>> {
        Log::new(vec![Record::default(); room])
    }

    fn read(log: &mut Log<Vec<Record>>, room: usize) -> (LogAnswer, Vec<Record>) {
        let mut output = vec![0; size_of::<LogAnswer>() + room * size_of::<Record>()];
        let length = log.read(&mut output);
        let (answer, rest) = LogAnswer::read_from_prefix(&output[..length]).unwrap();
        let records = rest.chunks(size_of::<Record>()).map(|one| Record::read_from_bytes(one).unwrap());
        (answer, records.collect())
    }

    #[test]
    fn records_come_out_in_order_and_once() {
        let mut log = log(4);
        for event in 1..=3 {
            log.push(Record { event, ..Record::default() });
        }
        let (answer, records) = read(&mut log, 2);
        assert_eq!((answer.count, answer.lost), (2, 0));
        assert_eq!(records.iter().map(|r| (r.sequence, r.event)).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
        let (answer, records) = read(&mut log, 2);
        assert_eq!((answer.count, records[0].event), (1, 3));
        assert_eq!(read(&mut log, 2).0.count, 0);
    }

    #[test]
    fn a_full_log_keeps_the_oldest_and_counts_the_rest() {
        let mut log = log(2);
        for event in 1..=5 {
            log.push(Record { event, ..Record::default() });
        }
        let (answer, records) = read(&mut log, 4);
        assert_eq!((answer.count, answer.lost), (2, 3));
        assert_eq!(records.iter().map(|record| record.event).collect::<Vec<_>>(), [1, 2]);
        log.push(Record { event: 6, ..Record::default() });
        let (answer, records) = read(&mut log, 4);
        assert_eq!((answer.lost, records[0].sequence), (0, 5));
    }

    #[test]
    fn a_buffer_without_room_for_the_head_gets_nothing() {
        let mut log = log(2);
        log.push(Record::default());
        assert_eq!(log.read(&mut [0; 15]), 0);
        assert_eq!(read(&mut log, 0).0.count, 0);
        assert_eq!(read(&mut log, 1).0.count, 1);
    }
}
