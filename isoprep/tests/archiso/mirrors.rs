//! Where packages come from: `image.mirror` stands in for the mirror list, and for no server that a repository names itself.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::arch::{Repository, mkarchiso};
use crate::bench::{Bench, profile};

/// Serves the files below `dir` to whoever asks this machine, for as long as the test runs.
fn serve(dir: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let dir: PathBuf = dir.into();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, dir) = (stream.unwrap(), dir.clone());
            std::thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let path = head[0].split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
                let answer = match fs::read(dir.join(path)) {
                    Ok(bytes) => {
                        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", bytes.len()).into_bytes(), bytes]
                    }
                    Err(_) => [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n".to_vec(), Vec::new()],
                };
                let _ = stream.write_all(&answer.join(&b"Connection: close\r\n\r\n"[..]));
            });
        }
    });
    address
}

/// One repository by the mirror list, and one with a server of its own.
fn conf(server: &str) -> String {
    format!(
        "[options]\nArchitecture = auto\nSigLevel = Never\n\n[archtest]\nInclude = /etc/pacman.d/mirrorlist\n\n\
         [archtest-next]\nServer = {server}/$repo\n"
    )
}

#[test]
fn a_mirror_takes_the_place_of_the_mirror_list_alone_with_both_engines() {
    let repository = Repository::get();
    // Each has what the other lacks.
    let [mirror, own] = ["archtest", "archtest-next"].map(|name| {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::os::unix::fs::symlink(repository.path().join(name), dir.path().join(name)).unwrap();
        (serve(dir.path()), dir)
    });
    let profile = profile().packages(&["archtest-next/gum"]).file("pacman.conf", &conf(&own.0));
    for engine in ["archiso", "mkarchiso"] {
        if engine == "mkarchiso" && mkarchiso::find().is_none() {
            return mkarchiso::skipped("a_mirror_takes_the_place_of_the_mirror_list_alone_with_both_engines");
        }
        let mirror = format!("{}/$repo", mirror.0);
        let bench = Bench::new(&profile, &format!("engine = \"{engine}\"\nmirror = \"{mirror}\""));
        let (image, _, lines) = bench.build_telling();
        image.unwrap_or_else(|e| panic!("{engine}: {e}\n{}", lines.join("\n")));
    }
}
