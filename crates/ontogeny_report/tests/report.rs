//! The report as its readers meet it: one file, whole, harmless, and the same every time.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "report/sample.rs"]
mod sample;

#[path = "report/hostile.rs"]
mod hostile;
#[path = "report/odd_data.rs"]
mod odd_data;
#[path = "report/page.rs"]
mod page;
#[path = "report/pixels.rs"]
mod pixels;
