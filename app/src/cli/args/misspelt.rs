//! A misspelt command is told as one. The first word may be a repository as well, so that the parser alone cannot know.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use super::Cli;

impl Cli {
    /// Reads a command line; the program's own name comes first. `there`: whether that path is there.
    ///
    /// # Errors
    /// What is wrong with it, ready to be shown: [`clap::Error::exit`] does, with exit code 2. Help and version are told so too.
    pub fn read(words: &[OsString], there: impl Fn(&Path) -> bool) -> Result<Self, clap::Error> {
        let read = Self::try_parse_from(words);
        let Some(first) = words.get(1).and_then(|word| word.to_str()) else { return read };
        // Whoever writes a path means one.
        let bare = !first.is_empty() && !first.starts_with(['-', '.']) && !first.contains('/');
        if !bare || there(Path::new(first)) {
            return read;
        }
        let unknown = unknown(first);
        match (&read, unknown) {
            // Something stands behind it that fits no repository.
            (Err(error), Some(unknown))
                if error.kind() == ErrorKind::UnknownArgument
                    || error.get(ContextKind::InvalidSubcommand).is_some() =>
            {
                Err(unknown)
            }
            // It was taken for a repository that is not there: that is told, unless a command looks like it.
            (Ok(cli), Some(unknown)) if cli.verb.is_none() && has_suggestion(&unknown) => Err(unknown),
            _ => read,
        }
    }
}

/// What the parser says of a word that is no command; `None` for one that is.
fn unknown(word: &str) -> Option<clap::Error> {
    let cli = Cli::command();
    // Without the places where a repository may stand every word has to be a command.
    let strict = clap::Command::new("cartridge").subcommand_required(true).subcommands(cli.get_subcommands().cloned());
    let mut error = strict.try_get_matches_from(["cartridge", word]).err()?;
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let tip = format!("to insert a repository, name a folder that is there: '{word}' is not");
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    Some(error)
}

fn has_suggestion(error: &clap::Error) -> bool {
    error.get(ContextKind::SuggestedSubcommand).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, there: bool) -> Result<Cli, clap::Error> {
        let words: Vec<_> = std::iter::once("cartridge").chain(line.split_whitespace()).map(OsString::from).collect();
        Cli::read(&words, |_| there)
    }

    #[test]
    fn a_misspelt_command_is_told_with_the_one_that_was_meant() {
        for (line, meant) in [
            ("upp repo", "up"),
            ("upp", "up"),
            ("biuld --json", "build"),
            ("tset --slot a", "test"),
            ("atach :1", "attach"),
        ] {
            let error = read(line, false).unwrap_err();
            let text = error.to_string();
            assert_eq!((error.kind(), error.exit_code()), (ErrorKind::InvalidSubcommand, 2), "{line}: {text}");
            assert!(text.contains(&format!("'{meant}'")) && text.contains("Usage: cartridge"), "{line}: {text}");
            assert!(text.contains("name a folder that is there"), "{text}");
        }
        let nonsense = read("xyzzy repo", false).unwrap_err().to_string();
        assert!(nonsense.contains("unrecognized subcommand 'xyzzy'"), "{nonsense}");
    }

    #[test]
    fn repositories_and_commands_are_what_they_were() {
        // A folder of that name is there.
        assert_eq!(read("upp", true).unwrap().path, Some("upp".into()));
        assert_eq!(read("upp repo", true).unwrap_err().kind(), ErrorKind::ArgumentConflict);
        assert_eq!(read("homerchy -b -e", false).unwrap_err().kind(), ErrorKind::ArgumentConflict);
        // No command looks like it: who inserts it says that it is not there.
        assert_eq!(read("homerchy", false).unwrap().path, Some("homerchy".into()));
        assert_eq!(read("./upp", false).unwrap().path, Some("./upp".into()));
        assert!(read("up repo", false).unwrap().verb().is_some() && read("", false).unwrap().path.is_none());
        assert_eq!(read("up --nonsense", false).unwrap_err().kind(), ErrorKind::UnknownArgument);
        assert_eq!(read("--help", false).unwrap_err().kind(), ErrorKind::DisplayHelp);
        assert_eq!(read("help", false).unwrap_err().kind(), ErrorKind::DisplayHelp);
    }
}
