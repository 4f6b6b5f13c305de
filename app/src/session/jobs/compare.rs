//! After a build: the record that it leaves beside its image, and in what that differs from the build before. Blocking.

use isoprep::contents::{
    BuildFacts, BuildRecord, ContentsError, Difference, ImageContents, RecordError, Watch, difference, leave_record,
    show,
};
use isoprep::{Cancel, Image};

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::session) struct Compared {
    /// In one sentence.
    pub(in crate::session) summary: String,
    /// `None` for a first build, and where it could not be compared.
    pub(in crate::session) difference: Option<Box<Difference>>,
}

/// Leaves the record of `image`, and compares it with that of the build before. `None` if it was cancelled.
pub(in crate::session) fn compare(image: &Image, facts: BuildFacts, cancel: &Cancel) -> Option<Compared> {
    let watch = Watch { cancel, tell: &|_| () };
    let record = match leave_record(&image.iso, facts, &watch) {
        Ok(record) => record,
        Err(RecordError::Image(error)) if ContentsError::is_cancelled(&error) => return None,
        Err(error) => {
            return Some(Compared { summary: format!("it could not be compared: {error}"), difference: None });
        }
    };
    let before = match BuildRecord::read(&BuildRecord::of_the_build_before(&image.iso)) {
        Ok(before) => before,
        Err(RecordError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Some(Compared { summary: first(&record.contents), difference: None });
        }
        Err(error) => {
            return Some(Compared { summary: format!("it could not be compared: {error}"), difference: None });
        }
    };
    let difference = difference(&before.contents, &record.contents);
    Some(Compared { summary: show::sentence(&difference), difference: Some(Box::new(difference)) })
}

/// What is said of an image that nothing was before.
fn first(contents: &ImageContents) -> String {
    let packages = contents.packages.len();
    let packages = if packages == 0 { String::new() } else { format!("{packages} packages, ") };
    let files = contents.files.len();
    format!("the first build: {packages}{files} files in its root file system, {}", show::size(contents.bytes))
}
