//! The command as a person meets it: arguments in, text and exit code out.

mod damage;
mod forks;
mod help;
mod interrupt;
mod ledger;
mod names;
mod reading;
mod stores;
mod support;
