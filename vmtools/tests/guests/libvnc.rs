//! libvncclient, which most viewers are made with, as a second opinion on recorded streams and as a measure of what they cost:
//! a small C program that is compiled where its headers are installed.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, run};

use crate::recorded::Recorded;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/libvnc.c");

/// The compiled program.
pub struct LibVnc {
    program: PathBuf,
    dir: tempfile::TempDir,
}

/// What it made of a stream.
pub struct Picture {
    /// Processor time, milliseconds: what the bench is after.
    #[allow(dead_code)]
    pub ms: f64,
    pub size: (usize, usize),
    pub rgba: Vec<u8>,
}

impl LibVnc {
    /// Compiles it; says what is missing where that fails.
    pub fn compile() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let program = dir.path().join("libvnc");
        let line = CommandLine::new("cc").args(["-O2", SOURCE, "-lvncclient", "-o"]).arg(&program);
        match run(&line, &Cancel::new(), |_, _| ()) {
            Ok(_) => Ok(Self { program, dir }),
            Err(error) if Path::new("/usr/include/rfb/rfbclient.h").exists() => Err(error.to_string()),
            Err(_) => Err("no libvncclient, or no cc: install libvncserver-dev and gcc".into()),
        }
    }

    /// The picture after the first `length` bytes, with `encodings` in its words, as "tight zrle".
    pub fn picture(&self, recorded: &Recorded, length: usize, encodings: &str) -> Picture {
        let (socket, file) = (self.dir.path().join("vnc"), self.dir.path().join("picture"));
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let serving = recorded.clone();
        let server = std::thread::spawn(move || serving.serve(listener.accept().unwrap().0, length));
        let line = CommandLine::new(&self.program).arg(&socket).arg(encodings).arg(&file);
        let output = run(&line, &Cancel::new(), |_, _| ()).unwrap();
        server.join().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = words.split_whitespace().collect();
        let size = (words[1].parse().unwrap(), words[2].parse().unwrap());
        let mut rgba = std::fs::read(&file).unwrap();
        for pixel in rgba.as_chunks_mut::<4>().0 {
            *pixel = [pixel[2], pixel[1], pixel[0], 255];
        }
        Picture { ms: words[0].parse().unwrap(), size, rgba }
    }
}
