//! Where `profiledef.sh` sets its variables, for people and editors to be led there.

use std::collections::BTreeMap;

use crate::profile::assignments::{Assigned, scan};

/// Which line sets a variable or an element of it, where one does.
pub(super) fn lines(source: &str) -> BTreeMap<String, usize> {
    let assignments = scan(source).assignments;
    let mut times = BTreeMap::<&str, usize>::new();
    for assignment in &assignments {
        *times.entry(&assignment.name).or_default() += 1;
    }
    let mut lines = BTreeMap::new();
    for assignment in &assignments {
        let (name, once) = (&assignment.name, times[assignment.name.as_str()] == 1);
        if once {
            lines.insert(name.clone(), assignment.line);
        }
        let Assigned::Array(elements) = &assignment.value else { continue };
        let mut index = 0;
        for element in elements {
            match &element.key {
                Some(key) => {
                    lines.insert(format!("{name}[{key}]"), element.line);
                }
                // What expands may be several elements or none: what follows it cannot be counted.
                None if !once || element.word.expands => break,
                None => {
                    lines.insert(format!("{name}[{index}]"), element.line);
                    index += 1;
                }
            }
        }
    }
    lines
}
