//! virtiofs or 9p: decided from what is known of the guest's kernel and of this host. Pure.

use super::{GuestKernel, Kind};

/// What a folder is served by, and why. `daemon` is the virtiofsd that would do it, or why there is none; `None` is the
/// answer for a kernel that is known to have neither.
pub(super) fn choose(kernel: GuestKernel, daemon: Result<&str, &str>) -> Option<(Kind, String)> {
    let by_9p = |why: String| (kernel.plan9 != Some(false)).then_some((Kind::Plan9, why));
    match (kernel.virtiofs, daemon) {
        (Some(false), _) => by_9p("the guest's kernel has no virtiofs".to_owned()),
        (_, Ok(daemon)) => Some((Kind::Virtiofs, format!("{daemon} serves it"))),
        (_, Err(why)) => by_9p(why.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtiofs_is_taken_where_both_sides_have_it() {
        let kernel = |plan9, virtiofs| GuestKernel { plan9, virtiofs };
        let kind = |kernel, daemon| choose(kernel, daemon).map(|(kind, _)| kind);
        for known in [None, Some(true)] {
            assert_eq!(kind(kernel(None, known), Ok("v")), Some(Kind::Virtiofs));
            assert_eq!(kind(kernel(Some(false), known), Ok("v")), Some(Kind::Virtiofs));
            assert_eq!(kind(kernel(known, None), Err("w")), Some(Kind::Plan9));
            assert_eq!(kind(kernel(known, Some(false)), Ok("v")), Some(Kind::Plan9));
        }
        assert_eq!(kind(kernel(Some(false), Some(false)), Ok("v")), None);
        assert_eq!(kind(kernel(Some(false), None), Err("w")), None);
    }

    #[test]
    fn the_reason_is_the_one_that_decided() {
        let why = |kernel, daemon| choose(kernel, daemon).unwrap().1;
        assert_eq!(why(GuestKernel::default(), Err("there is no virtiofsd")), "there is no virtiofsd");
        assert_eq!(why(GuestKernel::default(), Ok("/x/virtiofsd")), "/x/virtiofsd serves it");
        let without = GuestKernel { virtiofs: Some(false), plan9: None };
        assert!(why(without, Err("there is no virtiofsd")).contains("kernel has no virtiofs"));
    }
}
