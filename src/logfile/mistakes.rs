//! Mistakes that a test makes to show that the simulator notices them.

use std::cell::Cell;

thread_local! {
    pub(super) static ONE_PART_IS_ENOUGH: Cell<bool> = const { Cell::new(false) };
    pub(super) static PARTS_STAY: Cell<bool> = const { Cell::new(false) };
    pub(super) static CLOSED_WITHOUT_SYNC: Cell<bool> = const { Cell::new(false) };
    pub(super) static MOVED_WITHOUT_SYNC: Cell<bool> = const { Cell::new(false) };
    pub(super) static BEGUN_WITHOUT_SYNC: Cell<bool> = const { Cell::new(false) };
}
