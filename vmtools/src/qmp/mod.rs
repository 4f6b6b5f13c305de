//! QEMU's control line: commands with answers, and events. One task owns the socket; anybody may hold a [`Qmp`].

mod descriptor;
pub mod message;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use message::{Lines, Message, MessageError, QmpEvent};

/// How long a command may take before we stop waiting for its answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How many commands may wait to be sent.
const QUEUE: usize = 32;

/// A command was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QmpError {
    /// QEMU refused it.
    #[error("QEMU refused `{command}`: {description}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's words.
        description: String,
    },
    /// No answer came in time.
    #[error("QEMU did not answer `{command}` within {} s", limit.as_secs())]
    NoAnswer {
        /// The command.
        command: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The connection is gone: QEMU has ended, or is not QEMU.
    #[error("the control line to QEMU is closed; `{command}` was not carried out")]
    Closed {
        /// The command.
        command: String,
    },
    /// It could not be opened.
    #[error("the control line to QEMU could not be opened: {0}")]
    Open(String),
}

struct Request {
    name: &'static str,
    arguments: Option<Value>,
    descriptor: Option<OwnedFd>,
    answer: oneshot::Sender<Result<Value, String>>,
}

/// A handle to QEMU's control line. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Qmp {
    requests: mpsc::Sender<Request>,
}

impl Qmp {
    /// Opens the line at `socket`. `on_event` is called for each event from the task that reads; it must not block. The
    /// task ends when QEMU closes the line, says something that is not QMP, or every handle is dropped.
    ///
    /// # Errors
    /// [`QmpError::Open`] when nobody listens there or does not greet as QMP within five seconds.
    pub async fn connect(
        socket: &Path,
        on_event: impl FnMut(QmpEvent) + Send + 'static,
    ) -> Result<(Self, JoinHandle<()>), QmpError> {
        let stream = crate::machine::connect(socket).await.map_err(|e| QmpError::Open(e.to_string()))?;
        let (requests, queue) = mpsc::channel(QUEUE);
        let (greeted, greeting) = oneshot::channel();
        let task = tokio::spawn(async move {
            Line {
                stream,
                lines: Lines::default(),
                waiting: HashMap::new(),
                next_id: 1,
                on_event,
                greeted: Some(greeted),
            }
            .serve(queue)
            .await;
        });
        let qmp = Self { requests };
        match tokio::time::timeout(ANSWER, greeting).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(QmpError::Open("it did not greet as QMP".into())),
            Err(_) => {
                task.abort();
                return Err(QmpError::Open(format!("no greeting within {} s", ANSWER.as_secs())));
            }
        }
        qmp.execute("qmp_capabilities", None).await?;
        Ok((qmp, task))
    }

    /// Carries out `command` and returns its result.
    ///
    /// # Errors
    /// [`QmpError`] when it is refused, not answered within five seconds, or the line is closed.
    pub async fn execute(&self, command: &'static str, arguments: Option<Value>) -> Result<Value, QmpError> {
        self.exchange(command, arguments, None, ANSWER).await
    }

    /// As [`Qmp::execute`], for a command that may take as long as `limit`: one that writes what a disk has not yet got.
    ///
    /// # Errors
    /// As for [`Qmp::execute`].
    pub async fn execute_within(
        &self,
        limit: Duration,
        command: &'static str,
        arguments: Option<Value>,
    ) -> Result<Value, QmpError> {
        self.exchange(command, arguments, None, limit).await
    }

    /// As [`Qmp::execute`], with an open file of ours that QEMU gets along with the command (`getfd`, `add-fd`).
    ///
    /// # Errors
    /// As for [`Qmp::execute`].
    pub async fn execute_with_fd(
        &self,
        command: &'static str,
        arguments: Option<Value>,
        descriptor: OwnedFd,
    ) -> Result<Value, QmpError> {
        self.exchange(command, arguments, Some(descriptor), ANSWER).await
    }

    async fn exchange(
        &self,
        command: &'static str,
        arguments: Option<Value>,
        descriptor: Option<OwnedFd>,
        limit: Duration,
    ) -> Result<Value, QmpError> {
        let closed = || QmpError::Closed { command: command.to_owned() };
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            let request = Request { name: command, arguments, descriptor, answer };
            self.requests.send(request).await.map_err(|_| closed())?;
            let result = answered.await.map_err(|_| closed())?;
            result.map_err(|description| QmpError::Refused { command: command.to_owned(), description })
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => Err(QmpError::NoAnswer { command: command.to_owned(), limit }),
        }
    }

    /// QEMU's version: "7.2.22".
    ///
    /// # Errors
    /// As for [`Qmp::execute`].
    pub async fn version(&self) -> Result<String, QmpError> {
        Ok(message::version(&self.execute("query-version", None).await?))
    }

    /// Carries out a command of the human monitor and returns its words.
    ///
    /// # Errors
    /// As for [`Qmp::execute`].
    pub async fn human(&self, line: &str) -> Result<String, QmpError> {
        let arguments = serde_json::json!({ "command-line": line });
        let value = self.execute("human-monitor-command", Some(arguments)).await?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }
}

struct Line<F> {
    stream: UnixStream,
    lines: Lines,
    waiting: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    next_id: u64,
    on_event: F,
    greeted: Option<oneshot::Sender<()>>,
}

impl<F: FnMut(QmpEvent)> Line<F> {
    async fn serve(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut chunk = vec![0; 16 * 1024];
        loop {
            tokio::select! {
                read = self.stream.read(&mut chunk) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(n) => if self.take(&chunk[..n]).is_err() { break },
                },
                request = queue.recv() => match request {
                    Some(request) => if self.send(request).await.is_err() { break },
                    None => break,
                },
            }
        }
    }

    async fn send(&mut self, request: Request) -> io::Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        // Whoever stopped waiting has dropped its end: such entries must not pile up.
        self.waiting.retain(|_, answer| !answer.is_closed());
        self.waiting.insert(id, request.answer);
        let line = message::command(id, request.name, request.arguments);
        // The first bytes carry the descriptor; what the socket does not take at once follows as usual.
        let sent = match request.descriptor {
            Some(descriptor) => descriptor::send(&self.stream, &line, &descriptor).await?,
            None => 0,
        };
        self.stream.write_all(&line[sent..]).await
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), MessageError> {
        let Self { lines, waiting, on_event, greeted, .. } = self;
        let mut answer = |id: Option<u64>, result| {
            if let Some(waiting) = id.and_then(|id| waiting.remove(&id)) {
                let _ = waiting.send(result);
            }
        };
        lines.push(bytes, |line| {
            match message::parse(line)? {
                Message::Greeting { .. } => {
                    if let Some(greeted) = greeted.take() {
                        let _ = greeted.send(());
                    }
                }
                Message::Return { id, value } => answer(id, Ok(value)),
                Message::Error { id, description } => answer(id, Err(description)),
                Message::Event(event) => on_event(event),
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::UnixListener;

    async fn fake(listener: UnixListener, greeting: &'static [u8], answers: Vec<&'static [u8]>) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(greeting).await.unwrap();
        let mut answers = answers.into_iter();
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
            match answers.next() {
                Some(answer) => stream.write_all(answer).await.unwrap(),
                None => return,
            }
        }
    }

    fn socket() -> (tempfile::TempDir, std::path::PathBuf, UnixListener) {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let path = dir.path().join("q");
        let listener = UnixListener::bind(&path).unwrap();
        (dir, path, listener)
    }

    #[tokio::test]
    async fn answers_reach_their_questions_and_events_pass() {
        let (_dir, path, listener) = socket();
        let answers = vec![
            &b"{\"return\":{},\"id\":1}\n"[..],
            b"{\"event\":\"RESUME\"}\n{\"return\":\"words\",\"id\":2}\n",
            b"{\"error\":{\"desc\":\"no\"},\"id\":3}\n",
        ];
        tokio::spawn(fake(listener, b"{\"QMP\":{}}\n", answers));
        let (events, mut seen) = mpsc::channel(4);
        let (qmp, task) = Qmp::connect(&path, move |e| events.try_send(e).unwrap()).await.unwrap();
        assert_eq!(qmp.human("info usernet").await.unwrap(), "words");
        assert_eq!(seen.recv().await, Some(QmpEvent::Resume));
        assert!(
            matches!(qmp.execute("cont", None).await, Err(QmpError::Refused { description, .. }) if description == "no")
        );
        // The fake hangs up now: the question is answered with "closed", at once.
        assert!(matches!(qmp.execute("quit", None).await, Err(QmpError::Closed { .. })));
        task.await.unwrap();
        assert!(matches!(qmp.execute("quit", None).await, Err(QmpError::Closed { .. })));
    }

    #[tokio::test]
    async fn a_stranger_is_not_taken_for_qemu() {
        let (_dir, path, listener) = socket();
        tokio::spawn(fake(listener, b"220 smtp ready\n", vec![]));
        let error = Qmp::connect(&path, |_| {}).await.unwrap_err().to_string();
        assert!(error.contains("did not greet"), "{error}");
        let missing = Qmp::connect(&path.with_extension("none"), |_| {}).await.unwrap_err().to_string();
        assert!(missing.contains("No such file"), "{missing}");
    }
}
