//! What a build goes on after, and what its user must know.

/// The image is not all that it would be elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildWarning {
    /// Only one user exists where the image is made.
    #[error(
        "every file of this image belongs to root, also what its packages or file_permissions give to other users: {why}. \
         Services that run as such a user may fail in it"
    )]
    Owners {
        /// Why there is no other, with what changes it.
        why: String,
    },
}
