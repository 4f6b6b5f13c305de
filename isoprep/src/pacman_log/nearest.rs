//! The names that somebody may have meant by one that does not exist.

/// How many names are proposed at most.
const PROPOSED: usize = 3;

/// The names in `known` that are nearest to `name`, best first, at most three; none that is too far away to be a slip
/// of the pen. A name that `name` is a part of counts as near: `plymout` and `plymouth`, `archinstall` and
/// `archinstall-git`.
#[must_use]
pub fn nearest_names<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let reach = (wanted.chars().count() / 3).clamp(1, 3);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            // Cheap first: the lengths alone bound the distance from below.
            let close = lower.len().abs_diff(wanted.len()) <= reach;
            let distance = if close { strsim::damerau_levenshtein(&wanted, &lower) } else { usize::MAX };
            let extends = wanted.len() >= 3 && lower.starts_with(&format!("{wanted}-"));
            match distance {
                distance if distance <= reach => Some((distance, candidate)),
                _ if extends => Some((reach + 1, candidate)),
                _ => None,
            }
        })
        .collect();
    near.sort_by(|a, b| (a.0, a.1.len(), a.1).cmp(&(b.0, b.1.len(), b.1)));
    near.dedup();
    near.into_iter().take(PROPOSED).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 9] =
        ["linux", "linux-lts", "linux-zen", "git", "gum", "jq", "plymouth", "networkmanager", "mkinitcpio-archiso"];

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        assert_eq!(nearest_names("linx", KNOWN), ["linux"]);
        assert_eq!(nearest_names("plymuoth", KNOWN), ["plymouth"]);
        assert_eq!(nearest_names("NetworkManager", KNOWN), ["networkmanager"]);
        assert_eq!(nearest_names("mkinitcpio", KNOWN), ["mkinitcpio-archiso"]);
        assert_eq!(nearest_names("firefox", KNOWN), [""; 0]);
        assert_eq!(nearest_names("", KNOWN), [""; 0]);
    }

    #[test]
    fn no_more_than_three_and_the_shortest_first() {
        assert_eq!(nearest_names("a", ["b", "c", "d", "e"]).len(), 3);
        assert_eq!(nearest_names("linux-lt", KNOWN), ["linux-lts"]);
    }
}
