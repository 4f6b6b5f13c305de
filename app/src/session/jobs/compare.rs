//! After a build: the record that it leaves beside its image, and in what that differs from the build before. Blocking.

use isoprep::contents::{
    BuildFacts, BuildRecord, Change, ContentsError, Difference, ImageContents, RecordError, Watch, difference,
    leave_record, show,
};
use isoprep::{Cancel, Image};

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::session) enum Compared {
    /// In what the image differs.
    Done {
        /// In one sentence.
        summary: String,
        /// `None` for a first build.
        difference: Option<Box<Difference>>,
    },
    /// It could not be compared, in words.
    Failed(String),
    /// It was cancelled.
    Stopped,
}

impl Compared {
    /// What is said of an image that is the one before: nothing was read for that.
    pub(in crate::session) fn same(image: &Image) -> Self {
        let bytes = Change { from: image.bytes, to: image.bytes };
        let nothing = Difference { bytes, ..Difference::default() };
        Self::Done { summary: show::sentence(&nothing), difference: Some(Box::new(nothing)) }
    }
}

/// Leaves the record of `image`, and compares it with that of the build before.
pub(in crate::session) fn compare(image: &Image, facts: BuildFacts, cancel: &Cancel) -> Compared {
    let watch = Watch { cancel, tell: &|_| () };
    let record = match leave_record(&image.iso, facts, &watch) {
        Ok(record) => record,
        Err(RecordError::Image(error)) if ContentsError::is_cancelled(&error) => return Compared::Stopped,
        Err(error) => return Compared::Failed(error.to_string()),
    };
    let before = match BuildRecord::read(&BuildRecord::of_the_build_before(&image.iso)) {
        Ok(before) => before,
        Err(RecordError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Compared::Done { summary: first(&record.contents), difference: None };
        }
        Err(error) => return Compared::Failed(error.to_string()),
    };
    let difference = difference(&before.contents, &record.contents);
    Compared::Done { summary: show::sentence(&difference), difference: Some(Box::new(difference)) }
}

/// What is said of an image that nothing was before.
fn first(contents: &ImageContents) -> String {
    let packages = contents.packages.len();
    let packages = if packages == 0 { String::new() } else { format!("{packages} packages, ") };
    let files = contents.files.len();
    format!(
        "the first build: {packages}{files} files in its root file system; the image has {}",
        show::size(contents.bytes)
    )
}
