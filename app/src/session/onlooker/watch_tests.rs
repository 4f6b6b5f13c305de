//! What is believed of the other side, and what is said where it is not there.

use super::*;

#[test]
fn a_stopped_process_is_told_by_its_state_whatever_it_is_called() {
    assert!(is_stopped("7 (a) T 1) T 1 1") && is_stopped("7 (x) t 1"));
    assert!(!is_stopped("7 (T) S 1") && !is_stopped("") && !is_stopped("7 (x)"));
}

#[test]
fn a_session_is_one_plain_name() {
    let paths = Paths::nowhere();
    assert_eq!(session_dir(&paths, "20260101-120000-7.1"), Some("/s/sessions/20260101-120000-7.1".into()));
    for bad in ["", "..", ".", "../x", "1/../../x", "a", &"1".repeat(64)] {
        assert_eq!(session_dir(&paths, bad), None, "{bad}");
    }
}
