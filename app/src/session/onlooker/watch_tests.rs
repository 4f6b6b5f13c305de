//! What is believed of the other side, what is said where it is not there, and that none of its bytes does harm.

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;

use super::super::line::LONGEST;
use super::*;

#[test]
fn a_session_is_one_plain_name() {
    let paths = Paths::nowhere();
    assert_eq!(session_dir(&paths, "20260101-120000-7.1"), Some("/s/sessions/20260101-120000-7.1".into()));
    for bad in ["", "..", ".", "../x", "a", "1/../../x", &"1".repeat(64)] {
        assert_eq!(session_dir(&paths, bad), None, "{bad}");
    }
}

/// What is told where a session says `bytes` and hangs up.
async fn watched(bytes: Vec<u8>) -> Vec<Event> {
    let base = tempfile::tempdir().unwrap();
    let dir = RuntimeDir::create_in(&base.path().join("run"), "watch").unwrap();
    let socket = dir.paths().watch;
    let listener = UnixListener::bind(&socket).unwrap();
    let holder = Holder { process: 0, socket: Some(socket), ..Holder::here("another session", None, "") };
    let mut handle = Watcher::here(Paths::nowhere()).watch(holder);
    let (mut stream, _) = listener.accept().await.unwrap();
    // It may hang up in the middle of that.
    let says = tokio::spawn(async move { stream.write_all(&bytes).await });
    let told = async {
        let mut events = Vec::new();
        while let Some(told) = handle.events.recv().await {
            let over = matches!(told.event, Event::WatchEnded { .. });
            assert!(told.at_ms <= LATEST, "{told:?}");
            events.push(told.event);
            if over {
                return events;
            }
        }
        panic!("it ended without a word: {events:?}")
    };
    let events = timeout(Duration::from_secs(600), told).await.unwrap();
    let _ = says.await.unwrap();
    events
}

fn line(line: &Line) -> Vec<u8> {
    line.encode().unwrap().into_bytes()
}

fn hello() -> Vec<u8> {
    line(&Line::Hello { watch: VERSION, app: env!("CARGO_PKG_VERSION").into(), session: "1".into() })
}

fn start(at_ms: u64, missed: u64) -> Vec<u8> {
    line(&Line::Start { at_ms, missed, said: Vec::new(), model: Box::default() })
}

fn noticed(text: &str) -> Line {
    let event = Event::Noticed { level: Level::Info, text: text.into() };
    Line::Told(Box::new(Told { v: EVENT_VERSION, at_ms: u64::MAX, event }))
}

/// Lines that no session says.
fn hostile() -> Vec<Vec<u8>> {
    vec![
        [vec![b'x'; LONGEST + 1], b"\n".to_vec()].concat(),
        b"\xff\xfe\x80\n".to_vec(),
        b"{\"refused\":{\"why\":\"\xc3\"}}\n".to_vec(),
        b"\n".to_vec(),
        vec![0; 4096].into_iter().chain(*b"\n").collect(),
        [vec![b'['; 100_000], b"\n".to_vec()].concat(),
        b"{\"told\":{\"v\":1,\"at_ms\":0,\"event\":\"not_known\"}}\n".to_vec(),
        b"{\"told\":{\"v\":1,\"at_ms\":18446744073709551616,\"event\":\"closed\"}}\n".to_vec(),
        b"{\"told\":{\"v\":1,\"at_ms\":-1,\"event\":\"closed\"}}\n".to_vec(),
        b"{\"start\":{\"at_ms\":1e99,\"missed\":0,\"said\":[],\"model\":{}}}\n".to_vec(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_session_says_first_ends_the_watching_with_a_reason() {
    let refused = Line::Refused { why: "no\u{1b}]0;owned\u{7}\u{9b}31m\r\n way".into() };
    let newer = |app: &str| line(&Line::Hello { watch: VERSION + 1, app: app.into(), session: "1".into() });
    let elsewhere = Line::Hello { watch: VERSION, app: env!("CARGO_PKG_VERSION").into(), session: "../1".into() };
    let mut cases: Vec<(Vec<u8>, &str)> = vec![
        (line(&refused), "another session cannot be watched: no]0;owned31m way"),
        (newer("9\u{1b}[2J"), "another session is Cartridge 9[2J and this is "),
        (line(&elsewhere), "another session told a session that is none"),
        (line(&noticed("x")), "another session told something that is not understood"),
        (Vec::new(), "another session has hung up, or this was too slow for it: watch it again"),
    ];
    cases.extend(hostile().into_iter().map(|it| (it, "another session told something that is not understood")));
    for (bytes, expected) in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        let events = watched(bytes).await;
        let [Event::Failed { failure }, Event::WatchEnded { end: WatchEnd::Gone { why } }] = &events[..] else {
            panic!("{shown}: {events:?}");
        };
        assert!(why.contains(expected) && !why.contains(char::is_control), "{shown}: {why:?}");
        assert!(failure.detail.contains(expected), "{shown}: {failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_later_is_said_once_and_the_rest_is_still_seen() {
    let mut said = vec![hello(), start(u64::MAX, u64::MAX), line(&noticed("before"))];
    said.extend(hostile());
    // A session that becomes another one, and what none tells of itself.
    said.push(line(&Line::Hello { watch: VERSION, app: "x".into(), session: "2".into() }));
    for event in [Event::Closed, Event::TextRead { text: "x".into() }, Event::HolderStopped { stopped: true }] {
        said.push(line(&Line::Told(Box::new(Told { v: EVENT_VERSION, at_ms: 0, event }))));
    }
    said.extend([line(&noticed("after")), line(&Line::LetGo), line(&noticed("too late"))]);
    let events = watched(said.concat()).await;
    let [Event::Joined { missed: u64::MAX, holder, .. }, rest @ .., Event::WatchEnded { end: WatchEnd::LetGo }] =
        &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(holder.session, "1");
    let texts: Vec<_> =
        rest.iter().map(|it| if let Event::Noticed { text, .. } = it { &**text } else { "?" }).collect();
    let puzzled = "Something was told that is not understood here: what you see may not be all";
    assert_eq!(texts, ["before", puzzled, "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_hello_is_not_understood() {
    let said = [hello(), start(0, 0), hello(), line(&Line::LetGo)].concat();
    let events = watched(said).await;
    assert!(matches!(&events[1], Event::Noticed { level: Level::Warning, .. }), "{events:?}");
    let events = watched([hello(), hello()].concat()).await;
    assert!(
        matches!(&events[..], [Event::Failed { .. }, Event::WatchEnded { end: WatchEnd::Gone { .. } }]),
        "{events:?}"
    );
}
