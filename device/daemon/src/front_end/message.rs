//! Messages as they are on the socket: a header of three 32-bit words (request, flags, length), a body, and descriptors that
//! come with the first byte.

use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use vhost::vhost_user::message::{MAX_ATTACHED_FD_ENTRIES, MAX_MSG_SIZE};

use super::Breach;

const HEADER: usize = 12;
/// Flags of a header: the version in two bits, a reply, and whether a reply is wanted.
const VERSION: u32 = 1;
const VERSION_MASK: u32 = 3;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// A request.
#[derive(Debug)]
pub(super) struct Message {
    /// Which one.
    pub(super) request: u32,
    /// Whether the front end waits for an answer although the request has none.
    pub(super) needs_reply: bool,
    pub(super) body: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Message {
    /// Waits for the next one. `None` if the front end has left, be it in the middle of a message.
    pub(super) fn receive(stream: &UnixStream) -> Result<Option<Message>, Breach> {
        let mut descriptors = Vec::new();
        let mut header = [0; HEADER];
        if !fill(stream, &mut header, Some(&mut descriptors))? {
            return Ok(None);
        }
        let [request, flags, len] = words(&header).unwrap_or_default();
        if flags & VERSION_MASK != VERSION || flags & REPLY != 0 || len as usize > MAX_MSG_SIZE {
            return Err(Breach::Header { flags, len });
        }
        let mut body = vec![0; len as usize];
        if !fill(stream, &mut body, None)? {
            return Ok(None);
        }
        Ok(Some(Message { request, needs_reply: flags & NEED_REPLY != 0, body, descriptors }))
    }

    /// Answers the request with `body`.
    pub(super) fn answer(&self, mut stream: &UnixStream, body: &[u8]) -> Result<(), Breach> {
        let mut bytes = Vec::with_capacity(HEADER.saturating_add(body.len()));
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        for word in [self.request, VERSION | REPLY, len] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(body);
        stream.write_all(&bytes).map_err(Breach::Connection)
    }
}

/// Fills `buffer`; the descriptors that come with its first byte go to `descriptors`, and with any other byte none may come.
/// False if the front end has left.
fn fill(
    stream: &UnixStream,
    mut buffer: &mut [u8],
    mut descriptors: Option<&mut Vec<OwnedFd>>,
) -> Result<bool, Breach> {
    while !buffer.is_empty() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_ATTACHED_FD_ENTRIES))];
        let mut control = match descriptors {
            Some(_) => RecvAncillaryBuffer::new(&mut space),
            None => RecvAncillaryBuffer::default(),
        };
        let received = recvmsg(stream, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let received = match received {
            Ok(received) => received,
            Err(Errno::INTR) => continue,
            Err(Errno::CONNRESET) => return Ok(false),
            Err(errno) => return Err(Breach::Connection(io::Error::from(errno))),
        };
        let files = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        // Owned at once, so that they are closed whatever comes of the message.
        let files: Vec<OwnedFd> = files.flatten().collect();
        // There may be space for one more, by how it is aligned.
        if received.flags.contains(ReturnFlags::CTRUNC) || files.len() > MAX_ATTACHED_FD_ENTRIES {
            return Err(Breach::DescriptorsLost);
        }
        if let Some(descriptors) = descriptors.take() {
            *descriptors = files;
        }
        if received.bytes == 0 {
            return Ok(false);
        }
        buffer = buffer.get_mut(received.bytes..).unwrap_or_default();
    }
    Ok(true)
}

/// A body of exactly `N` 32-bit words.
pub(super) fn words<const N: usize>(body: &[u8]) -> Option<[u32; N]> {
    let (chunks, rest) = body.as_chunks();
    let words: Vec<u32> = chunks.iter().map(|word| u32::from_le_bytes(*word)).collect();
    words.try_into().ok().filter(|_| rest.is_empty())
}

/// A body of exactly `N` 64-bit words.
pub(super) fn longs<const N: usize>(body: &[u8]) -> Option<[u64; N]> {
    let (chunks, rest) = body.as_chunks();
    let longs: Vec<u64> = chunks.iter().map(|long| u64::from_le_bytes(*long)).collect();
    longs.try_into().ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    /// A request of 8 bytes.
    const WHOLE: [u8; 20] = [9, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    fn send(stream: &UnixStream, bytes: &[u8], descriptors: usize) {
        let files = vec![stream.as_fd(); descriptors];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(descriptors == 0 || control.push(SendAncillaryMessage::ScmRights(&files)));
        sendmsg(stream, &[std::io::IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
    }

    #[test]
    fn message_in_pieces_is_one_message() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&theirs, &WHOLE[..5], 2);
        for byte in &WHOLE[5..] {
            send(&theirs, &[*byte], 0);
        }
        let message = Message::receive(&ours).unwrap().unwrap();
        assert_eq!((message.request, message.needs_reply, message.descriptors.len()), (9, true, 2));
        assert_eq!(longs(&message.body), Some([0x0807_0605_0403_0201]));
        assert_eq!((words::<1>(&message.body), longs::<1>(&message.body[1..])), (None, None));
    }

    #[test]
    fn front_end_that_leaves_in_the_middle_has_left() {
        for len in [0, 1, 12, 19] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(&WHOLE[..len]).unwrap();
            drop(theirs);
            assert!(Message::receive(&ours).unwrap().is_none(), "{len}");
        }
    }

    #[test]
    fn descriptors_that_cannot_be_received_are_a_breach() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&theirs, &WHOLE, MAX_ATTACHED_FD_ENTRIES + 1);
        assert!(matches!(Message::receive(&ours), Err(Breach::DescriptorsLost)));
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&theirs, &WHOLE[..12], 0);
        send(&theirs, &WHOLE[12..], 1);
        assert!(matches!(Message::receive(&ours), Err(Breach::DescriptorsLost)));
    }

    #[test]
    fn headers_of_another_version_replies_and_endless_bodies_are_breaches() {
        for (flags, len) in [(0u32, 8u32), (2, 8), (5, 8), (1, 4097), (1, u32::MAX)] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let header: Vec<u8> = [1, flags, len].iter().flat_map(|word| word.to_le_bytes()).collect();
            send(&theirs, &header, 0);
            assert!(matches!(Message::receive(&ours), Err(Breach::Header { .. })), "{flags} {len}");
        }
    }

    #[test]
    fn answer_carries_the_request_and_the_reply_bit() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let request = Message { request: 1, needs_reply: false, body: vec![], descriptors: vec![] };
        request.answer(&ours, &[7]).unwrap();
        let mut answer = [0; 13];
        std::io::Read::read_exact(&mut &theirs, &mut answer).unwrap();
        assert_eq!(answer, [1, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 7]);
    }
}
