//! Mutexes whose holders cannot leave anything half done.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, also where a holder panicked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
