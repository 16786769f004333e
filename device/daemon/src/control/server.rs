//! Clients of the control socket: a thread each, a bounded number of them, lines of bounded length.
//! A client that sends nonsense gets errors; one that does not read its answers blocks only itself; one that says nothing
//! gives way when its place is needed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use control_protocol::RpcError;
use control_protocol::rpc::{self, LINE_LIMIT};
use serde_json::Value;

/// Clients at a time.
const CLIENT_LIMIT: usize = 32;
/// How long a client may say nothing before another one may have its place.
const IDLE: Duration = Duration::from_secs(30);
/// How long an answer may wait for its reader before the client is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Carries out one method.
pub(crate) trait Methods: Send + Sync + 'static {
    /// `Ok` is the answer's `result`.
    fn call(&self, method: &str, params: Option<Value>) -> Result<Value, RpcError>;
    /// The answer to a method that was carried out is on its way.
    fn answered(&self, method: &str);
}

/// Accepts clients until the process ends. Runs on a thread of its own.
pub(crate) fn serve(listener: &UnixListener, methods: impl Methods) {
    let methods = Arc::new(methods);
    let clients = Arc::new(Clients::default());
    loop {
        match listener.accept() {
            Ok((stream, _)) => admit(stream, &methods, &clients),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // Out of descriptors, most likely: wait for clients to leave instead of spinning.
                tracing::warn!(%error, "control socket: accept failed");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// The clients that are there.
#[derive(Default)]
struct Clients(Mutex<Vec<Arc<Client>>>);

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    /// When it sent a line last, or came.
    heard: Mutex<Instant>,
}

impl Client {
    fn heard(&self) -> MutexGuard<'_, Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clients {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Client>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for the client, if there is one, or can be at `now`: the one that has said nothing for the longest time, and
    /// for too long, is sent away.
    fn admit(&self, stream: UnixStream, now: Instant) -> Result<Arc<Client>, UnixStream> {
        let mut all = self.all();
        if all.len() >= CLIENT_LIMIT {
            let longest = all.iter().enumerate().min_by_key(|(_, client)| *client.heard());
            let idle = longest.filter(|(_, client)| now.saturating_duration_since(*client.heard()) >= IDLE);
            let Some(at) = idle.map(|(at, _)| at) else { return Err(stream) };
            // Its thread finds the end of its input.
            let _ = all.swap_remove(at).stream.shutdown(Shutdown::Both);
        }
        let client = Arc::new(Client { stream, heard: Mutex::new(now) });
        all.push(client.clone());
        Ok(client)
    }

    fn remove(&self, left: &Arc<Client>) {
        self.all().retain(|client| !Arc::ptr_eq(client, left));
    }
}

fn admit(stream: UnixStream, methods: &Arc<impl Methods>, clients: &Arc<Clients>) {
    let client = match clients.admit(stream, Instant::now()) {
        Ok(client) => client,
        Err(mut stream) => {
            let error = RpcError::state(format!("too many clients (at most {CLIENT_LIMIT})"));
            // The answer is a courtesy; the client may be gone.
            let _ = stream
                .set_nonblocking(true)
                .and_then(|()| stream.write_all(&rpc::answer(&Value::Null, Err(error))));
            return;
        }
    };
    let (methods, all, ours) = (methods.clone(), clients.clone(), client.clone());
    let spawned = thread::Builder::new().name("control".into()).spawn(move || {
        if let Err(error) = talk(&ours, &*methods) {
            tracing::debug!(%error, "control client left");
        }
        all.remove(&ours);
    });
    if let Err(error) = spawned {
        clients.remove(&client);
        tracing::warn!(%error, "control socket: no thread for a client");
    }
}

fn talk(client: &Client, methods: &impl Methods) -> io::Result<()> {
    client.stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let heard = || *client.heard() = Instant::now();
    converse(BufReader::new(&client.stream), &client.stream, methods, heard)
}

/// Answers every line of `input` until it ends; calls `heard` for each.
fn converse(
    mut input: impl BufRead,
    mut output: impl Write,
    methods: &impl Methods,
    heard: impl Fn(),
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut input).take(LINE_LIMIT as u64 + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        heard();
        if line.last() != Some(&b'\n') && line.len() > LINE_LIMIT {
            let error = RpcError::request(format!("a line is at most {LINE_LIMIT} bytes long"));
            output.write_all(&rpc::answer(&Value::Null, Err(error)))?;
            skip_line(&mut input)?;
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match rpc::parse(&line) {
            Ok(request) => {
                let result = methods.call(&request.method, request.params);
                let done = result.is_ok();
                if let Some(id) = request.id {
                    output.write_all(&rpc::answer(&id, result))?;
                }
                if done {
                    methods.answered(&request.method);
                }
            }
            Err((id, error)) => output.write_all(&rpc::answer(&id, Err(error)))?,
        }
    }
}

/// Throws away what is left of a line without keeping it.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Echo;

    impl Methods for Echo {
        fn call(&self, method: &str, params: Option<Value>) -> Result<Value, RpcError> {
            match method {
                "echo" => Ok(params.unwrap_or(Value::Null)),
                other => Err(RpcError::method(other)),
            }
        }

        fn answered(&self, _: &str) {}
    }

    fn answers(input: &[u8]) -> Vec<Value> {
        let mut output = Vec::new();
        converse(input, &mut output, &Echo, || ()).unwrap();
        output
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn each_line_is_answered_in_order_and_errors_do_not_end_the_talk() {
        let got = answers(
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"a\":1}}\n\nnonsense\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"no\"}\n",
        );
        assert_eq!(got.len(), 3);
        assert_eq!(got[0], json!({"jsonrpc": "2.0", "id": 1, "result": {"a": 1}}));
        assert_eq!((&got[1]["id"], &got[1]["error"]["code"]), (&json!(null), &json!(-32700)));
        assert_eq!((&got[2]["id"], &got[2]["error"]["code"]), (&json!(2), &json!(-32601)));
    }

    #[test]
    fn notification_is_not_answered() {
        assert_eq!(answers(b"{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}\n"), Vec::<Value>::new());
    }

    #[test]
    fn line_that_is_too_long_is_refused_and_the_next_one_served() {
        let mut input = vec![b'x'; LINE_LIMIT * 3];
        input.extend_from_slice(b"\n{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"echo\"}\n");
        let got = answers(&input);
        assert_eq!(got.len(), 2);
        assert_eq!(got[0]["error"]["code"], -32600);
        assert_eq!(got[1]["id"], 9);
    }

    #[test]
    fn last_line_without_a_newline_is_answered() {
        assert_eq!(answers(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}").len(), 1);
    }

    #[test]
    fn client_that_says_nothing_gives_way_when_its_place_is_needed() {
        let (clients, start) = (Clients::default(), Instant::now());
        let (first, mut theirs) = UnixStream::pair().unwrap();
        let come = |at: Duration| clients.admit(UnixStream::pair().unwrap().0, start + at);
        let silent = clients.admit(first, start).unwrap();
        let admitted: Vec<_> = (1..CLIENT_LIMIT).map(|_| come(Duration::ZERO).unwrap()).collect();
        let late = IDLE - Duration::from_millis(1);
        assert!(come(late).is_err(), "nobody has been silent for too long");
        admitted.iter().for_each(|client| *client.heard() = start + late);
        assert!(come(IDLE).is_ok());
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "the silent one is sent away");
        assert!(come(IDLE).is_err(), "and no other");
        clients.remove(&silent);
        assert!(come(IDLE).is_err(), "its place is taken");
        clients.remove(&admitted[0]);
        assert!(come(IDLE).is_ok());
    }
}
