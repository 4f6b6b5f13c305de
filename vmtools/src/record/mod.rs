//! The guest's screen as a video: H.264 in MP4, which browsers play. A thread of its own looks at the screen some times a
//! second and encodes it if it has changed; a still screen costs nothing and takes no room. A picture that has no room in the
//! file begins another one beside it, and smaller ones lie in its middle.

mod canvas;
mod film;
mod mp4;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use film::Trouble;

use crate::display::Screen;
use crate::numbered::numbered;
use film::Film;

/// Pictures a second at most.
const RATE: f32 = 15.0;
/// Between two looks at the screen.
const LOOK: Duration = Duration::from_millis(66);
/// How often the length of a still picture is written: by so much a killed program's file is too short.
const STILL: Duration = Duration::from_secs(1);
/// Files of one recording: a guest that changes its size all the time must not fill a folder.
const MAX_FILES: usize = 50;

/// Why a recording ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The thread could not be started.
    #[error("no thread could be started to record: {0}")]
    Thread(std::io::Error),
    /// The screen never showed anything.
    #[error("the guest's screen showed nothing, and {} was not made", path.display())]
    Nothing {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// A file could not be made or written, or a picture not be encoded. What was written before plays.
    #[error("the recording {} could not be written: {source}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: Trouble,
    },
    /// The guest's screen has changed its size too often.
    #[error("the guest's screen grew {MAX_FILES} times, each time into another file after {}", path.display())]
    TooManyFiles {
        /// The first of them.
        path: PathBuf,
    },
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The files, in their order.
    pub files: Vec<PathBuf>,
    /// Pictures in all of them.
    pub frames: u64,
    /// From the first picture to the end.
    pub length: Duration,
}

/// A recording under way. Dropped, it ends by itself, a moment later.
#[derive(Debug)]
pub struct Recording {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Recording {
    /// Ends it and waits until the file is whole and `on_end` was called: it blocks, usually for less than a tenth of a second.
    pub fn finish(self) {
        drop(self.stop);
        // A thread that panicked has left what it had written.
        let _ = self.thread.join();
    }
}

/// Records `screen` to a new file `to`, from its next live picture on; `on_end` is called from the recording's thread when it
/// has ended, whatever ended it.
///
/// # Errors
/// [`RecordError::Thread`]. What is wrong with the file is told by `on_end`.
pub fn start(
    screen: Arc<Screen>,
    to: PathBuf,
    on_end: impl FnOnce(Result<Recorded, RecordError>) + Send + 'static,
) -> Result<Recording, RecordError> {
    let (stop, stopped) = channel();
    // What is recorded is looked at, also while nothing shows it.
    let look = screen.look();
    let run = move || {
        on_end(Recorder::new(to).run(&screen, &stopped));
        drop(look);
    };
    let thread = std::thread::Builder::new().name("recording".into()).spawn(run).map_err(RecordError::Thread)?;
    Ok(Recording { stop, thread })
}

struct Recorder {
    to: PathBuf,
    files: Vec<PathBuf>,
    /// That of the next file.
    number: usize,
    film: Option<Film>,
    begun: Option<Instant>,
    /// When the file under way began.
    file_begun: Instant,
    frames: u64,
}

impl Recorder {
    fn new(to: PathBuf) -> Self {
        Self { to, files: Vec::new(), number: 0, film: None, begun: None, file_begun: Instant::now(), frames: 0 }
    }

    fn run(mut self, screen: &Screen, stopped: &Receiver<()>) -> Result<Recorded, RecordError> {
        let mut pixels = Vec::new();
        let mut seen = 0;
        let mut written = Instant::now();
        loop {
            // What was left by a guest before is none of this one's.
            let newer = if screen.live() { screen.copy_newer(seen, &mut pixels) } else { None };
            if let Some((width, height, number)) = newer {
                seen = number;
                self.show(width, height, &pixels)?;
                written = Instant::now();
            } else if written.elapsed() >= STILL {
                written = Instant::now();
                self.still()?;
            }
            match stopped.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return self.finish(),
            }
        }
    }

    fn show(&mut self, width: usize, height: usize, rgba: &[u8]) -> Result<(), RecordError> {
        let now = Instant::now();
        self.begun.get_or_insert(now);
        let mut film = match self.film.take() {
            Some(film) if film.canvas.holds(width, height) => film,
            other => {
                if let Some(film) = other {
                    self.end(film)?;
                }
                if self.files.len() == MAX_FILES {
                    return Err(RecordError::TooManyFiles { path: self.to.clone() });
                }
                let path = self.next_file();
                self.files.push(path);
                self.file_begun = now;
                Film::new(width, height, RATE).map_err(|source| self.failed(source))?
            }
        };
        film.canvas.draw(width, height, rgba);
        let path = self.path();
        // When it was seen, however long the encoder took to begin.
        let added = film.add(&path, millis(now.duration_since(self.file_begun)));
        self.film = Some(film);
        added.map_err(|source| self.failed(source))
    }

    fn still(&mut self) -> Result<(), RecordError> {
        let now = millis(self.file_begun.elapsed());
        let written = self.film.as_mut().map_or(Ok(()), |film| film.lasts_until(now));
        written.map_err(|source| self.failed(source))
    }

    fn end(&mut self, film: Film) -> Result<(), RecordError> {
        self.frames += film.frames;
        film.finish(millis(self.file_begun.elapsed())).map_err(|source| self.failed(source))
    }

    fn finish(mut self) -> Result<Recorded, RecordError> {
        if let Some(film) = self.film.take() {
            self.end(film)?;
        }
        let Some(begun) = self.begun else { return Err(RecordError::Nothing { path: self.to }) };
        Ok(Recorded { files: self.files, frames: self.frames, length: begun.elapsed() })
    }

    /// The first has the name that was asked for; a number of another recording's is passed over by the others.
    fn next_file(&mut self) -> PathBuf {
        let mut path = numbered(&self.to, self.number);
        while self.number > 0 && path.exists() {
            self.number += 1;
            path = numbered(&self.to, self.number);
        }
        self.number += 1;
        path
    }

    fn path(&self) -> PathBuf {
        self.files.last().unwrap_or(&self.to).clone()
    }

    fn failed(&self, source: Trouble) -> RecordError {
        RecordError::Failed { path: self.path(), source }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::display::test_screen;

    fn record(screen: &Arc<Screen>, to: &Path, during: impl FnOnce()) -> Result<Recorded, RecordError> {
        let (sender, ended) = channel();
        let recording = start(Arc::clone(screen), to.to_owned(), move |end| sender.send(end).unwrap()).unwrap();
        during();
        recording.finish();
        ended.recv().unwrap()
    }

    /// Waits until the recorder has taken what is shown.
    fn until(mut done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_and_nothing_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        let screen = Arc::new(Screen::new());
        let nothing = record(&screen, &path, || {}).unwrap_err();
        assert!(matches!(&nothing, RecordError::Nothing { .. }) && !path.exists(), "{nothing}");
        std::fs::write(&path, "mine").unwrap();
        test_screen(&screen, 64, 64, [1, 2, 3]);
        let (sender, ended) = channel();
        let recording = start(Arc::clone(&screen), path.clone(), move |end| sender.send(end).unwrap()).unwrap();
        let taken = ended.recv_timeout(Duration::from_secs(30)).unwrap().unwrap_err();
        recording.finish();
        assert!(taken.to_string().contains("a.mp4 could not be written"), "{taken}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn a_larger_picture_begins_another_file_and_a_smaller_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        let screen = Arc::new(Screen::new());
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let (second, mut before) = (dir.path().join("a 2.mp4"), 0);
        let recorded = record(&screen, &path, || {
            for (width, height) in [(720, 400), (640, 480)] {
                test_screen(&screen, width, height, [200, 100, 0]);
                until(|| size(&path) > before);
                before = size(&path);
            }
            test_screen(&screen, 1920, 1080, [0, 100, 0]);
            until(|| size(&second) > 0);
        })
        .unwrap();
        assert_eq!((recorded.files, recorded.frames), (vec![path, second], 3));
    }
}
