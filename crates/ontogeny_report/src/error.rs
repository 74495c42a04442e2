//! Why a report could not be made.

use resvg::usvg;

/// What can go wrong between findings and pixels.
///
/// Odd data is never an error: it is drawn as far as it goes and the figure says what is missing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The SVG cannot be read back.
    #[error("read the SVG of a figure")]
    Svg(#[source] usvg::Error),
    /// The picture would be empty or too large to hold in memory.
    #[error("reserve a picture of {width} x {height} pixels")]
    #[expect(missing_docs, reason = "the message names every field")]
    Size { width: u32, height: u32 },
    /// The PNG cannot be encoded.
    #[error("encode {bytes} bytes of pixels as PNG")]
    #[expect(missing_docs, reason = "the message names every field")]
    Png { bytes: usize, source: Box<dyn std::error::Error + Send + Sync> },
}
