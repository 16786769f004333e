//! A dump's way out of a guest: through its agent, in parts, the last of which has the hash of the whole.

use crate::guest::agent::{Agent, AgentError};
use agent_protocol::{Command, DumpFile, MOST_CHUNK};
use anyhow::{Context, Result, bail, ensure};
use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The newest dump; `None` if the guest has left none.
pub(super) fn newest(agent: &mut Agent, limit: Duration) -> Result<Option<DumpFile>, AgentError> {
    let dumps = agent.call(Command::Dumps, limit)?.dumps;
    Ok(dumps.into_iter().max_by_key(|dump| dump.written_unix))
}

/// Copies a dump into `folder`, under the last part of its name; it has that name once it is whole.
///
/// # Errors
/// A part does not come within `limit`, or is none; what came has another hash than the guest's file. Nothing is left
/// in `folder` then.
pub(super) fn copy(agent: &mut Agent, dump: &DumpFile, limit: Duration, folder: &Path) -> Result<PathBuf> {
    let DumpFile { file, .. } = dump;
    let name = file.rsplit(['\\', '/']).next().unwrap_or_default();
    ensure!(!["", ".", ".."].contains(&name), "{file:?} is no name of a dump");
    let path = folder.join(name);
    let mut copy = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot create a file in {}", folder.display()))?;
    let (mut offset, mut hash) = (0, Sha256::new());
    loop {
        let part = Command::CopyDump { file: file.clone(), offset, len: MOST_CHUNK };
        let answer =
            agent.call(part, limit).with_context(|| format!("the part of {file} from {offset} on"))?;
        let chunk = answer.chunk.with_context(|| format!("no part of {file} from {offset} on"))?;
        let Ok(bytes) = Base64::decode_vec(&chunk.data) else {
            bail!("the part of {file} from {offset} on is no base64");
        };
        copy.write_all(&bytes).with_context(|| format!("writing to {}", folder.display()))?;
        hash.update(&bytes);
        offset += bytes.len() as u64;
        let Some(sha256) = chunk.sha256 else {
            let more = !bytes.is_empty() && offset < chunk.total;
            ensure!(more, "{file} ends at {offset} of {} bytes, without a hash", chunk.total);
            continue;
        };
        let seen = hex::encode(hash.finalize());
        ensure!(seen == sha256, "{file} came out damaged: SHA-256 {seen}, in the guest {sha256}");
        copy.persist(&path).with_context(|| format!("cannot create {}", path.display()))?;
        return Ok(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::failure::one_line;
    use agent_protocol::{Chunk, Message, Reply, Request};
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixStream;
    use std::thread;

    const SOON: Duration = Duration::from_secs(20);
    const CONTENT: &[u8] = b"PAGEDU64, and what it was";
    /// Bytes of a part here.
    const PART: usize = 10;

    fn dump(file: &str, written_unix: u64) -> DumpFile {
        DumpFile { file: file.into(), len: CONTENT.len() as u64, written_unix }
    }

    /// What an agent that works says to the part from `offset` on.
    fn part(offset: usize) -> Chunk {
        let end = CONTENT.len().min(offset + PART);
        let sha256 = (end == CONTENT.len()).then(|| hex::encode(Sha256::digest(CONTENT)));
        let data = Base64::encode_string(&CONTENT[offset..end]);
        Chunk { data, total: CONTENT.len() as u64, sha256 }
    }

    /// An agent that lists `dumps`, and says to a part what `part` says, if it says something. It ends with the line.
    fn agent(dumps: Vec<DumpFile>, part: fn(usize) -> Option<Chunk>) -> Agent {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(theirs.try_clone().unwrap()).lines() {
                let request: Request = serde_json::from_str(&line.unwrap()).unwrap();
                let reply = match request.command {
                    Command::Dumps => Some(Reply { dumps: dumps.clone(), ..Reply::default() }),
                    Command::CopyDump { file, offset, len: MOST_CHUNK } if file == "MEMORY.DMP" => {
                        part(offset as usize).map(|chunk| Reply { chunk: Some(chunk), ..Reply::default() })
                    }
                    command => panic!("not asked for here: {command:?}"),
                };
                if let Some(reply) = reply {
                    let done = Message::Done { id: request.id, reply };
                    writeln!(theirs, "{}", serde_json::to_string(&done).unwrap()).unwrap();
                }
            }
        });
        Agent::new(ours).unwrap()
    }

    fn left(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// The copy fails so, within `limit`, and leaves nothing.
    #[track_caller]
    fn refused(part: fn(usize) -> Option<Chunk>, limit: Duration, why: &str) {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = agent(Vec::new(), part);
        let error = copy(&mut agent, &dump("MEMORY.DMP", 0), limit, folder.path()).unwrap_err();
        assert!(one_line(&error).contains(why), "{error:#}");
        assert_eq!(left(folder.path()), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_dump_arrives_whole_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = agent(Vec::new(), |offset| Some(part(offset)));
        let path = copy(&mut agent, &dump("MEMORY.DMP", 0), SOON, folder.path()).unwrap();
        assert_eq!(path, folder.path().join("MEMORY.DMP"));
        assert_eq!(fs::read(&path).unwrap(), CONTENT);
        assert_eq!(left(folder.path()), [path]);
    }

    #[test]
    fn a_dump_with_another_hash_is_refused() {
        let damaged = |offset| {
            let mut part = part(offset);
            if offset == PART {
                part.data = Base64::encode_string(&[0; PART]);
            }
            Some(part)
        };
        refused(damaged, SOON, "MEMORY.DMP came out damaged: SHA-256 ");
    }

    #[test]
    fn a_part_that_never_comes_ends_the_copy() {
        let silent = |offset| (offset < PART).then(|| part(offset));
        refused(
            silent,
            Duration::from_millis(200),
            "the part of MEMORY.DMP from 10 on: no answer from the guest within 200 ms",
        );
    }

    #[test]
    fn a_dump_without_a_hash_is_refused() {
        let unsigned = |offset| Some(Chunk { sha256: None, ..part(offset) });
        refused(unsigned, SOON, "MEMORY.DMP ends at 25 of 25 bytes, without a hash");
        let empty = |_| Some(Chunk { data: String::new(), total: 25, sha256: None });
        refused(empty, SOON, "MEMORY.DMP ends at 0 of 25 bytes, without a hash");
    }

    #[test]
    fn a_part_that_is_no_base64_is_refused() {
        let noise = |_| Some(Chunk { data: "PAGE!".into(), ..part(0) });
        refused(noise, SOON, "the part of MEMORY.DMP from 0 on is no base64");
    }

    #[test]
    fn the_guest_does_not_choose_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = agent(Vec::new(), |_| None);
        let error = copy(&mut agent, &dump(r"Minidump\..", 0), SOON, folder.path()).unwrap_err();
        assert!(one_line(&error).contains("is no name of a dump"), "{error:#}");
    }

    #[test]
    fn the_newest_dump_is_the_one_written_last() {
        let old = dump("MEMORY.DMP", 7);
        let new = dump(r"Minidump\112126-9812-01.dmp", 8);
        let mut some = agent(vec![old.clone(), new.clone(), old], |_| None);
        assert_eq!(newest(&mut some, SOON).unwrap(), Some(new));
        assert_eq!(newest(&mut agent(Vec::new(), |_| None), SOON).unwrap(), None);
    }
}
