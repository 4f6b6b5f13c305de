//! Which lines of a serial console ask somebody to go on: the endings of prompts, also where the kernel has written behind one.
//! Pure.

use super::kernel_line::is_kernels;

/// How the prompts of shells and of getty(8) end.
const ENDINGS: [&[u8]; 5] = [b"# ", b"$ ", b"% ", b"> ", b"login: "];
/// How many lines of the kernel are passed over in search of the prompt that they followed.
const KERNELS: usize = 64;

/// Whether the open line `line` ends as a prompt does.
pub(super) fn is_prompt(line: &[u8]) -> bool {
    ENDINGS.iter().any(|end| line.ends_with(end))
}

/// What stood on the line when the kernel wrote behind it: the program that wrote it does not write it again.
pub(super) fn before_kernel(line: &[u8]) -> Option<&[u8]> {
    let begins = |at: &usize| line[*at] == b'[' && is_kernels(&line[*at..]);
    (1..line.len()).find(begins).map(|at| &line[..at])
}

/// Whether a prompt is the last thing that the console's programs have written; what the kernel says behind it is no answer.
pub(super) fn asks(text: &[u8]) -> bool {
    let mut lines = text.rsplit(|byte| *byte == b'\n');
    let open = lines.next().unwrap_or_default();
    if is_prompt(open) {
        return true;
    }
    if !open.is_empty() && !is_kernels(open) {
        return before_kernel(open).is_some_and(is_prompt);
    }
    let first = lines.take(KERNELS).find(|line| !is_kernels(line));
    first.and_then(before_kernel).is_some_and(is_prompt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prompt_asks_whatever_the_kernel_says_behind_it() {
        for text in [
            "sh-5.2# ",
            "hello\n$ ",
            "host login: ",
            "a\n~ % [    2.100000] random: crng init done\n",
            "~ # [    2.1] a\n[    2.2] b\n",
            "~ # [    2.1] a\n[    2.2] b",
            "~ # [    2.1] a",
        ] {
            assert!(asks(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn what_was_answered_asks_no_more() {
        for text in [
            "",
            "\n",
            "~ # \n",
            "~ # ls\n[    2.1] a\n",
            "~ # \n[    2.1] a\n",
            "~ # dmesg\n[    2.1] a",
            "[    2.1] # \n",
        ] {
            assert!(!asks(text.as_bytes()), "{text:?}");
        }
        let many = format!("~ # {}", "[    2.1] a\n".repeat(2 * KERNELS));
        assert!(!asks(many.as_bytes()), "how far back is looked is bounded");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (asks(&bytes), asks(&[bytes.as_slice(), b"# [ 1.0] "].concat()));
        }
    }
}
