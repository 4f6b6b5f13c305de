//! The system's clock, set from the machine's battery clock: that one goes on while a guest sleeps in a slot.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_settime};

/// The battery clock, seconds since 1970 (Linux, Documentation/ABI/testing/sysfs-class-rtc).
const BATTERY: &str = "/sys/class/rtc/rtc0/since_epoch";
/// The battery clock has whole seconds: a smaller difference says nothing.
const APART: Duration = Duration::from_secs(2);

/// Sets the clock if it is wrong. A machine without a battery clock, or without the right to do it, keeps the time it has.
pub(crate) fn set() {
    let Some(battery) = std::fs::read_to_string(BATTERY).ok().and_then(|text| parse(&text)) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if battery.abs_diff(now) >= APART
        && let Ok(seconds) = i64::try_from(battery.as_secs())
    {
        let _ = clock_settime(ClockId::Realtime, Timespec { tv_sec: seconds, tv_nsec: 0 });
    }
}

fn parse(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_battery_clock() {
        assert_eq!(parse("1795000000\n"), Some(Duration::from_secs(1_795_000_000)));
        assert_eq!(parse(""), None);
        assert_eq!(parse("-1"), None);
    }
}
