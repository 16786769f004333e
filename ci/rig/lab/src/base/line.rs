//! A line from a socket, waited for with a limit that names what was waited for.

use crate::base::fair::FairClock;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long one read may block: after that the limit is looked at.
const READ: Duration = Duration::from_millis(250);

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum NoLine {
    /// The other side has closed the connection.
    #[error("the connection has ended")]
    Closed,
    /// None came in time.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The connection is broken.
    #[error(transparent)]
    Broken(std::io::Error),
}

/// Prepares a stream for [`read`].
pub fn reader(stream: UnixStream, write_limit: Duration) -> std::io::Result<BufReader<UnixStream>> {
    stream.set_read_timeout(Some(READ))?;
    stream.set_write_timeout(Some(write_limit))?;
    Ok(BufReader::new(stream))
}

/// Reads a line, which may take `limit` of time in which everybody has a processor.
pub fn read(reader: &mut BufReader<UnixStream>, limit: Duration) -> Result<String, NoLine> {
    let mut line = Vec::new();
    let mut clock = FairClock::start();
    loop {
        match reader.read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\n") => return Ok(String::from_utf8_lossy(&line).into_owned()),
            Ok(_) => return Err(NoLine::Closed),
            Err(error) => match error.kind() {
                // What has come up to now is in `line`.
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    if clock.elapsed() >= limit {
                        return Err(NoLine::Late(limit));
                    }
                }
                ErrorKind::ConnectionReset => return Err(NoLine::Closed),
                _ => return Err(NoLine::Broken(error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_line_that_comes_in_pieces_is_one_and_what_follows_is_the_next() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut ours = reader(ours, LONG).unwrap();
        theirs.write_all(b"first\nsec").unwrap();
        assert_eq!(read(&mut ours, LONG).unwrap(), "first\n");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Later than one read blocks.
                std::thread::park_timeout(2 * READ);
                theirs.write_all(b"ond\n").unwrap();
            });
            assert_eq!(read(&mut ours, LONG).unwrap(), "second\n");
        });
    }

    #[test]
    fn a_line_that_does_not_come_is_late_or_the_connection_has_ended_and_neither_is_a_raw_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut ours = reader(ours, LONG).unwrap();
        let error = read(&mut ours, Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.to_string(), "no answer within 0 s");
        drop(theirs);
        assert!(matches!(read(&mut ours, LONG), Err(NoLine::Closed)));
    }
}
