mod lint_support;
use lint_support::{Description, Repository};
#[test]
fn hand() {
    for name in ["releng", "baseline", "omarchy", "homerchy"] {
        let mut it = Repository::new(&Description::default());
        it.root = format!("/tmp/hand/{name}").into();
        let start = std::time::Instant::now();
        let found = it.lint();
        println!("##### {name} {:?}\n{}", start.elapsed(), isoprep::lint::render_text(&found, false));
    }
}
