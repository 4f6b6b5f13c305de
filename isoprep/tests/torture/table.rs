//! The tables of the comparison: each layout, and the table of SECURITY.md, which counts them.

use crate::child::Verdict;
use crate::layouts::Layout;
use crate::method::Method;

/// Renders what each method did: a table with a row for each layout that could be made, and one with a row for each group.
pub fn render(layouts: &[Layout], columns: &[(Method, Vec<Verdict>)]) -> String {
    let ran: Vec<usize> =
        (0..layouts.len()).filter(|index| columns.iter().all(|it| it.1[*index].skipped.is_none())).collect();
    let head = |first: &str| {
        let names: Vec<_> = columns.iter().map(|it| it.0.name()).collect();
        [format!("| {first} | {} |", names.join(" | ")), format!("|---|{}", "---|".repeat(columns.len()))]
    };
    let row = |first: &str, cell: &dyn Fn(&[Verdict]) -> String| {
        let cells: Vec<_> = columns.iter().map(|it| cell(&it.1)).collect();
        format!("| {first} | {} |", cells.join(" | "))
    };
    let count = |among: &[usize], verdicts: &[Verdict]| {
        let survived = among.iter().filter(|index| verdicts[**index].lost.is_empty()).count();
        let right = among.iter().filter(|index| verdicts[**index].is_right()).count();
        format!("{survived}, {right}")
    };
    let mut rows = head("layout").to_vec();
    rows.extend(ran.iter().map(|&index| row(layouts[index].name, &|verdicts| verdicts[index].cell())));
    rows.push(String::new());
    rows.extend(head("layouts"));
    let mut groups: Vec<&str> = layouts.iter().map(|layout| layout.group).collect();
    groups.dedup();
    for group in groups {
        let among: Vec<_> = ran.iter().copied().filter(|&index| layouts[index].group == group).collect();
        rows.push(row(&format!("{} {group}", among.len()), &|verdicts| count(&among, verdicts)));
    }
    rows.push(row(&format!("**all {}**", ran.len()), &|verdicts| format!("**{}**", count(&ran, verdicts))));
    rows.join("\n")
}
