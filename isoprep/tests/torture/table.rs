//! The table of SECURITY.md: layouts down, methods across.

use crate::child::Verdict;
use crate::layouts::Layout;
use crate::method::Method;

/// Renders what each method did to each layout.
pub fn render(layouts: &[Layout], columns: &[(Method, Vec<Verdict>)]) -> String {
    let mut rows =
        vec![format!("| layout | {} |", columns.iter().map(|it| it.0.name()).collect::<Vec<_>>().join(" | "))];
    rows.push(format!("|---|{}", "---|".repeat(columns.len())));
    let ran = |index: usize| columns.iter().all(|it| it.1.get(index).is_some_and(|it| it.skipped.is_none()));
    let number = layouts.iter().enumerate().filter(|(index, _)| ran(*index)).count();
    for (index, layout) in layouts.iter().enumerate().filter(|(index, _)| ran(*index)) {
        let cells = columns.iter().map(|(_, verdicts)| verdicts[index].cell());
        rows.push(format!("| {} | {} |", layout.name, cells.collect::<Vec<_>>().join(" | ")));
    }
    let sum = |what: &dyn Fn(&Verdict) -> bool| {
        let of = |verdicts: &[Verdict]| (0..layouts.len()).filter(|i| ran(*i) && what(&verdicts[*i])).count();
        columns.iter().map(|(_, verdicts)| format!("{} of {number}", of(verdicts))).collect::<Vec<_>>().join(" | ")
    };
    rows.push(format!("| **survived** | {} |", sum(&|verdict| verdict.lost.is_empty())));
    rows.push(format!("| **survived, and gone or rightly kept** | {} |", sum(&Verdict::is_right)));
    rows.join("\n")
}
