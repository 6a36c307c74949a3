//! The C surface of the shim, once more in Rust: the only unsafe code of the workspace.
#![allow(unsafe_code, reason = "this file calls C++")]

use std::{
    ffi::{CStr, CString, c_char},
    path::Path,
    ptr::{self, NonNull},
};

use crate::{ErrorKind, Layout, MsError, Rows};

mod columns;
mod subtables;

#[repr(C)]
struct Handle {
    private: [u8; 0],
}

#[repr(C)]
struct RawLayout {
    telescope: *const c_char,
    observer: *const c_char,
    project: *const c_char,
    history: *const c_char,
    time_start: f64,
    time_end: f64,
    antenna_count: usize,
    antenna_names: *const *const c_char,
    antenna_stations: *const *const c_char,
    antenna_positions: *const f64,
    antenna_diameters: *const f64,
    channel_count: usize,
    channel_frequencies: *const f64,
    channel_width: f64,
    correlation_count: usize,
    correlation_codes: *const i32,
    correlation_receptors: *const i32,
    receptors: [*const c_char; 2],
    field_name: *const c_char,
    field_ra: f64,
    field_dec: f64,
}

#[repr(C)]
struct RawRows {
    time: f64,
    interval: f64,
    row_count: usize,
    antenna1: *const i32,
    antenna2: *const i32,
    uvw: *const f64,
    data: *const f32,
    flags: *const bool,
    weights: *const f32,
}

type Message = *mut *mut c_char;

unsafe extern "C" {
    fn ms_free(text: *mut c_char);
    fn ms_create(
        path: *const c_char,
        layout: *const RawLayout,
        out: *mut *mut Handle,
        message: Message,
    ) -> i32;
    fn ms_open(path: *const c_char, writable: bool, out: *mut *mut Handle, message: Message)
    -> i32;
    fn ms_import_uvfits(uvfits: *const c_char, path: *const c_char, message: Message) -> i32;
    fn ms_flush(set: *mut Handle, message: Message) -> i32;
    fn ms_close(set: *mut Handle, message: Message) -> i32;
    fn ms_row_count(
        set: *mut Handle,
        subtable: *const c_char,
        out: *mut u64,
        message: Message,
    ) -> i32;
    fn ms_shape(
        set: *mut Handle,
        column: *const c_char,
        start: u64,
        rows: u64,
        shape: *mut u64,
        message: Message,
    ) -> i32;
    fn ms_read_complex(
        set: *mut Handle,
        column: *const c_char,
        start: u64,
        rows: u64,
        shape: *const u64,
        out: *mut f32,
        message: Message,
    ) -> i32;
    fn ms_read_flags(
        set: *mut Handle,
        start: u64,
        rows: u64,
        shape: *const u64,
        out: *mut bool,
        message: Message,
    ) -> i32;
    fn ms_read_uvw(set: *mut Handle, start: u64, rows: u64, out: *mut f64, message: Message)
    -> i32;
    fn ms_append(
        set: *mut Handle,
        rows: *const RawRows,
        shape: *const u64,
        message: Message,
    ) -> i32;
}

/// An open set. casacore's tables know no threads: one owner, who may move.
#[derive(Debug)]
pub(crate) struct Set(NonNull<Handle>);

// SAFETY: the handle is used by one owner at a time, and casacore keeps nothing thread-local.
unsafe impl Send for Set {}

impl Set {
    pub(crate) fn create(path: &Path, layout: &Layout) -> Result<Self, MsError> {
        let texts = Texts::of(layout)?;
        let names = pointers(&texts.names);
        let stations = pointers(&texts.stations);
        let positions: Vec<f64> = layout
            .antennas
            .iter()
            .flat_map(|antenna| antenna.position_m)
            .collect();
        let diameters: Vec<f64> = layout.antennas.iter().map(|a| a.diameter_m).collect();
        let codes: Vec<i32> = layout.correlations.iter().map(|c| c.code()).collect();
        let receptors: Vec<i32> = layout
            .correlations
            .iter()
            .flat_map(|c| c.receptors().map(i32::from))
            .collect();
        let raw = RawLayout {
            telescope: texts.telescope.as_ptr(),
            observer: texts.observer.as_ptr(),
            project: texts.project.as_ptr(),
            history: texts.history.as_ptr(),
            time_start: layout.time_range_s.0,
            time_end: layout.time_range_s.1,
            antenna_count: layout.antennas.len(),
            antenna_names: names.as_ptr(),
            antenna_stations: stations.as_ptr(),
            antenna_positions: positions.as_ptr(),
            antenna_diameters: diameters.as_ptr(),
            channel_count: layout.frequencies_hz.len(),
            channel_frequencies: layout.frequencies_hz.as_ptr(),
            channel_width: layout.channel_width_hz,
            correlation_count: codes.len(),
            correlation_codes: codes.as_ptr(),
            correlation_receptors: receptors.as_ptr(),
            receptors: receptor_names(layout).map(CStr::as_ptr),
            field_name: texts.field.as_ptr(),
            field_ra: layout.field_ra,
            field_dec: layout.field_dec,
        };
        let place = text(&path.to_string_lossy())?;
        let mut handle = ptr::null_mut();
        // SAFETY: all pointers are to values that live until the end of this function.
        check(path, |message| unsafe {
            ms_create(place.as_ptr(), &raw const raw, &raw mut handle, message)
        })?;
        Self::of(path, handle)
    }

    pub(crate) fn open(path: &Path, writable: bool) -> Result<Self, MsError> {
        let place = text(&path.to_string_lossy())?;
        let mut handle = ptr::null_mut();
        // SAFETY: as above.
        check(path, |message| unsafe {
            ms_open(place.as_ptr(), writable, &raw mut handle, message)
        })?;
        Self::of(path, handle)
    }

    fn of(path: &Path, handle: *mut Handle) -> Result<Self, MsError> {
        NonNull::new(handle).map(Self).ok_or_else(|| MsError {
            path: path.to_owned(),
            kind: ErrorKind::Casacore,
            message: "no handle was returned".to_owned(),
        })
    }

    pub(crate) fn close(self, path: &Path) -> Result<(), MsError> {
        let handle = self.0.as_ptr();
        std::mem::forget(self);
        // SAFETY: the handle is valid, and forgotten by its owner.
        check(path, |message| unsafe { ms_flush(handle, message) })
            // SAFETY: the same; nobody uses it afterwards.
            .and(check(path, |message| unsafe { ms_close(handle, message) }))
    }

    pub(crate) fn row_count(&self, path: &Path, subtable: &str) -> Result<u64, MsError> {
        let subtable = text(subtable)?;
        let mut rows = 0;
        // SAFETY: the handle is valid as long as `self`, the rest lives in this function.
        check(path, |message| unsafe {
            ms_row_count(self.0.as_ptr(), subtable.as_ptr(), &raw mut rows, message)
        })?;
        Ok(rows)
    }

    pub(crate) fn shape(&self, path: &Path, column: &str, rows: u64) -> Result<[u64; 2], MsError> {
        let column = text(column)?;
        let mut shape = [0; 2];
        // SAFETY: as above.
        check(path, |message| unsafe {
            ms_shape(
                self.0.as_ptr(),
                column.as_ptr(),
                0,
                rows,
                shape.as_mut_ptr(),
                message,
            )
        })?;
        Ok(shape)
    }

    /// Pairs of real and imaginary parts.
    pub(crate) fn complex(
        &self,
        path: &Path,
        column: &str,
        (start, rows): (u64, u64),
        shape: [u64; 2],
    ) -> Result<Vec<f32>, MsError> {
        let column = text(column)?;
        let mut out = vec![0.0; 2 * cells(rows, shape)];
        // SAFETY: as above; `out` holds as many values as rows and shape say.
        check(path, |message| unsafe {
            ms_read_complex(
                self.0.as_ptr(),
                column.as_ptr(),
                start,
                rows,
                shape.as_ptr(),
                out.as_mut_ptr(),
                message,
            )
        })?;
        Ok(out)
    }

    pub(crate) fn flags(
        &self,
        path: &Path,
        (start, rows): (u64, u64),
        shape: [u64; 2],
    ) -> Result<Vec<bool>, MsError> {
        let mut out = vec![false; cells(rows, shape)];
        // SAFETY: as above.
        check(path, |message| unsafe {
            let handle = self.0.as_ptr();
            ms_read_flags(
                handle,
                start,
                rows,
                shape.as_ptr(),
                out.as_mut_ptr(),
                message,
            )
        })?;
        Ok(out)
    }

    pub(crate) fn uvw(&self, path: &Path, (start, rows): (u64, u64)) -> Result<Vec<f64>, MsError> {
        let mut out = vec![0.0; cells(rows, [3, 1])];
        // SAFETY: as above.
        check(path, |message| unsafe {
            ms_read_uvw(self.0.as_ptr(), start, rows, out.as_mut_ptr(), message)
        })?;
        Ok(out)
    }

    /// The caller has checked that all parts have the lengths that `rows` and `shape` say.
    pub(crate) fn append(
        &mut self,
        path: &Path,
        rows: &Rows<'_>,
        shape: [u64; 2],
    ) -> Result<(), MsError> {
        let raw = RawRows {
            time: rows.time_s,
            interval: rows.interval_s,
            row_count: rows.antennas.0.len(),
            antenna1: rows.antennas.0.as_ptr(),
            antenna2: rows.antennas.1.as_ptr(),
            uvw: rows.uvw_m.as_ptr().cast(),
            data: rows.data.as_ptr().cast(),
            flags: rows.flags.as_ptr(),
            weights: rows.weights.as_ptr(),
        };
        // SAFETY: the slices outlive the call; `Complex32` is two f32 in this order (repr(C)).
        check(path, |message| unsafe {
            ms_append(self.0.as_ptr(), &raw const raw, shape.as_ptr(), message)
        })
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let handle = self.0.as_ptr();
        // Whoever wants to know of errors calls `close`.
        // SAFETY: the handle is valid, and not used afterwards.
        let _ = check(Path::new(""), |message| unsafe {
            ms_close(handle, message)
        });
    }
}

/// Errors name the UVFITS file: it is what was asked for.
pub(crate) fn import_uvfits(uvfits: &Path, place: &Path) -> Result<(), MsError> {
    let file = text(&uvfits.to_string_lossy())?;
    let set = text(&place.to_string_lossy())?;
    // SAFETY: both texts live until the end of this function.
    check(uvfits, |message| unsafe {
        ms_import_uvfits(file.as_ptr(), set.as_ptr(), message)
    })
}

/// What FEED calls the receptors.
fn receptor_names(layout: &Layout) -> [&'static CStr; 2] {
    match layout.correlations.first() {
        Some(first) if first.is_circular() => [c"R", c"L"],
        _ => [c"X", c"Y"],
    }
}

fn cells(rows: u64, shape: [u64; 2]) -> usize {
    usize::try_from(rows * shape[0] * shape[1]).unwrap_or(usize::MAX)
}

/// The texts of a layout, as C wants them.
struct Texts {
    telescope: CString,
    observer: CString,
    project: CString,
    history: CString,
    field: CString,
    names: Vec<CString>,
    stations: Vec<CString>,
}

impl Texts {
    fn of(layout: &Layout) -> Result<Self, MsError> {
        let names = layout.antennas.iter().map(|antenna| text(&antenna.name));
        let stations = layout.antennas.iter().map(|antenna| text(&antenna.station));
        Ok(Self {
            telescope: text(&layout.telescope)?,
            observer: text(&layout.observer)?,
            project: text(&layout.project)?,
            history: text(&layout.history)?,
            field: text(&layout.field_name)?,
            names: names.collect::<Result<_, _>>()?,
            stations: stations.collect::<Result<_, _>>()?,
        })
    }
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).collect()
}

fn text(text: &str) -> Result<CString, MsError> {
    CString::new(text).map_err(|_| MsError {
        path: text.into(),
        kind: ErrorKind::Casacore,
        message: "the text holds a zero byte".to_owned(),
    })
}

/// Runs a call and turns its kind and message into an error.
fn check(path: &Path, call: impl FnOnce(Message) -> i32) -> Result<(), MsError> {
    let mut message = ptr::null_mut();
    let kind = call(&raw mut message);
    match ErrorKind::of(kind) {
        None => Ok(()),
        Some(kind) => Err(MsError {
            path: path.to_owned(),
            kind,
            message: take(message),
        }),
    }
}

/// Takes a text that the shim has allocated.
fn take(text: *mut c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the shim's texts end with a zero byte and are freed once, here.
    unsafe {
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        ms_free(text);
        copy
    }
}
