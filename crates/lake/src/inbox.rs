//! `inbox/<who>/<file>`: what people put there to be recorded, each with a receipt beside it once it was looked at.
//!
//! The folder's name says who it was: on AWS nobody can write to the folder of somebody else. Names are text of others, so one
//! that cannot be is told and holds up nothing else.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::path::Path as FilePath;
use std::time::UNIX_EPOCH;

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, PutMode, PutPayload};
use sha2::{Digest, Sha256};

use crate::error::LakeError;
use crate::lake::Lake;
use crate::layout::{INBOX, below};
use crate::store::Store;

/// The most bytes of a name, and of folder and name: a receipt has a longer name. File systems take 255 bytes of a name, S3
/// takes 1,024 of the whole.
const LONGEST_NAME: usize = 200;
const LONGEST_PLACE: usize = 700;

/// Larger ones are not ours.
const LARGEST_RECEIPT: u64 = 4 << 20;
/// Every receipt has the SHA-256 of what it is about.
const SUM_OF_A_RECEIPT: &str = "\nsha256 ";
const NAME_OF_A_RECEIPT: &str = "has the name of a receipt, so it is not read; give it another one";

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is recorded.
    Taken,
    /// Nothing of it is.
    Refused,
}

impl Verdict {
    const ALL: [Self; 2] = [Self::Taken, Self::Refused];

    /// What its receipt is called by, behind the name of the file.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Taken => ".taken.txt",
            Self::Refused => ".refused.txt",
        }
    }
}

/// What lies in the inbox.
#[derive(Debug, Default)]
pub struct Inbox {
    /// As they arrived; of one instant in order of folder and name.
    pub uploads: Vec<Upload>,
    /// What is none, and why: a name and the rest of a sentence.
    pub others: Vec<(String, String)>,
}

/// A file that somebody put into the inbox.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Whose folder it lies in.
    pub by: String,
    /// Its name below that.
    pub name: String,
    /// When it came, UTC.
    pub at: NaiveDateTime,
    /// Bytes.
    pub size: u64,
    /// Another one where the file is another.
    pub version: String,
    /// What was said of it, or of a file of the same name before.
    pub receipts: Vec<(Verdict, String)>,
    /// Receipts that lie there, also those that cannot be read.
    answered: Vec<Verdict>,
    path: Path,
}

impl Upload {
    /// Folder and name.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}/{}", self.by, self.name)
    }

    fn receipt(&self, verdict: Verdict) -> Result<Path, LakeError> {
        let path = Path::parse(format!("{}{}", self.path, verdict.ending()));
        path.map_err(|error| LakeError::from(object_store::Error::from(error)))
    }
}

impl Lake {
    /// What lies in the inbox. Names that begin with a dot are left alone.
    ///
    /// # Errors
    /// [`LakeError`] where the store does not say.
    pub async fn inbox(&self) -> Result<Inbox, LakeError> {
        let Listing { files, mut others } = match self.store.folder() {
            Some(root) => Listing::of_folder(&root.join(INBOX)),
            None => Listing::of_objects(&self.store).await?,
        };
        let (receipts, files): (Vec<Listed>, Vec<Listed>) =
            files.into_iter().partition(|file| receipt_of(&file.place).is_some());
        let places: BTreeSet<&str> = files.iter().map(|file| file.place.as_str()).collect();
        let is_left_over = |file: &&Listed| receipt_of(&file.place).is_some_and(|about| !places.contains(about));
        for file in receipts.iter().filter(is_left_over) {
            if !self.has_receipt(file).await {
                others.push((file.place.clone(), NAME_OF_A_RECEIPT.to_owned()));
            }
        }
        let mut uploads = Vec::new();
        for file in files {
            match file.upload() {
                Ok(upload) => uploads.push(upload),
                Err(why) => others.push((file.place, why)),
            }
        }
        uploads.sort_by(|left, right| (left.at, &left.by, &left.name).cmp(&(right.at, &right.by, &right.name)));
        others.sort();
        let known = receipts.iter().filter(|file| file.size <= LARGEST_RECEIPT);
        let known: BTreeSet<&str> = known.map(|file| file.place.as_str()).collect();
        let at_once = self.store.fetched_at_once();
        let uploads = futures::stream::iter(uploads).map(|upload| self.with_receipts(upload, &known));
        Ok(Inbox { uploads: uploads.buffered(at_once).collect().await, others })
    }

    /// True where a file that is called as a receipt is one: what it is about may have gone.
    async fn has_receipt(&self, file: &Listed) -> bool {
        let Ok(path) = Path::parse(format!("{INBOX}/{}", file.place)) else { return false };
        let is_small = file.size <= LARGEST_RECEIPT;
        let text = if is_small { self.store.read_small(&path).await.ok().flatten() } else { None };
        text.is_some_and(|text| String::from_utf8_lossy(&text).contains(SUM_OF_A_RECEIPT))
    }

    /// With the receipts that are there and can be read.
    async fn with_receipts(&self, mut upload: Upload, known: &BTreeSet<&str>) -> Upload {
        for verdict in Verdict::ALL {
            let Ok(path) = upload.receipt(verdict) else { continue };
            if !known.contains(format!("{}{}", upload.place(), verdict.ending()).as_str()) {
                continue;
            }
            upload.answered.push(verdict);
            let text = self.store.read_small(&path).await.ok().flatten().and_then(|text| String::from_utf8(text).ok());
            upload.receipts.extend(text.map(|text| (verdict, text)));
        }
        upload
    }

    /// The content of a file and its SHA-256; none where it has gone meanwhile.
    ///
    /// # Errors
    /// [`LakeError`] where it cannot be read.
    pub async fn read_upload(&self, upload: &Upload) -> Result<Option<(Vec<u8>, String)>, LakeError> {
        let bytes = self.store.read_small(&upload.path).await?;
        Ok(bytes.map(|bytes| {
            let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            (bytes, sha256)
        }))
    }

    /// Leaves a receipt beside a file, in the place of those before.
    ///
    /// # Errors
    /// [`LakeError`] where it cannot be written.
    pub async fn write_receipt(&self, upload: &Upload, verdict: Verdict, text: String) -> Result<(), LakeError> {
        self.store.put(&upload.receipt(verdict)?, PutPayload::from(text)).await?;
        for before in upload.answered.iter().filter(|before| **before != verdict) {
            self.store.delete(vec![Ok(upload.receipt(*before)?)]).await?;
        }
        Ok(())
    }

    /// Puts a file into somebody's folder of the inbox, and over no other. Says where it lies.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] for a name that can be none; [`LakeError`] where the store refuses.
    pub async fn put_upload(&self, by: &str, name: &str, bytes: Vec<u8>) -> Result<String, LakeError> {
        // A folder whose name begins with a dot is left alone.
        let by = by.replace('/', "-").replacen('.', "-", usize::from(by.starts_with('.')));
        let place = format!("{by}/{}", name.replace('/', "-"));
        let why_not = receipt_of(&place).map(|_| NAME_OF_A_RECEIPT.to_owned());
        if let Some(why) = why_not.or_else(|| why_no_name(&place)) {
            return Err(LakeError::BadInput(format!("{place} {why}")));
        }
        let path = Path::parse(format!("{INBOX}/{place}"));
        let path =
            path.map_err(|error| LakeError::BadInput(format!("{place} can be no name in the inbox: {error}")))?;
        let options = PutMode::Create.into();
        let put = self.store.objects().put_opts(&path, PutPayload::from(bytes), options).await;
        put.map_err(|error| self.store.refused(&path, &error).unwrap_or_else(|| error.into()))?;
        Ok(self.store.name(&path))
    }
}

/// What a store lists.
#[derive(Debug, Default)]
struct Listing {
    files: Vec<Listed>,
    others: Vec<(String, String)>,
}

/// A file below the inbox.
#[derive(Debug)]
struct Listed {
    place: String,
    at: DateTime<Utc>,
    size: u64,
    tag: String,
}

impl Listed {
    fn upload(&self) -> Result<Upload, String> {
        let no_folder = "lies in no folder; put it into one that is named after whom it is of";
        let (by, name) = self.place.split_once('/').ok_or(no_folder)?;
        if let Some(why) = why_no_name(&self.place) {
            return Err(why);
        }
        let path = Path::parse(format!("{INBOX}/{}", self.place)).map_err(|error| no_name(&error))?;
        Ok(Upload {
            by: by.to_owned(),
            name: name.to_owned(),
            at: self.at.naive_utc().trunc_subsecs(6),
            size: self.size,
            version: format!("{} {}", self.at.to_rfc3339(), self.tag),
            receipts: Vec::new(),
            answered: Vec::new(),
            path,
        })
    }
}

/// What a receipt is about, by its name; none of what is called otherwise.
fn receipt_of(place: &str) -> Option<&str> {
    Verdict::ALL.iter().find_map(|verdict| place.strip_suffix(verdict.ending()))
}

fn why_no_name(place: &str) -> Option<String> {
    let name = place.rsplit('/').next().unwrap_or_default();
    // So a store calls in a folder what it is still writing: `july.csv#1`.
    let part = name.rsplit_once('#').map(|(_, number)| number);
    if part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())) {
        return Some("has a name that ends in # and a number; give it another one".to_owned());
    }
    if place.split('/').any(|part| part.starts_with('.')) {
        return Some(
            "has a name that begins with a dot, and such files are left alone; give it another one".to_owned(),
        );
    }
    let is_too_long = name.len() > LONGEST_NAME || place.len() > LONGEST_PLACE;
    is_too_long.then(|| "has a name that is too long for a receipt beside it; give it a shorter one".to_owned())
}

fn no_name(error: &object_store::path::Error) -> String {
    format!("has a name that cannot be told ({error}); give it another one")
}

impl Listing {
    /// A folder that is not there holds nothing. Links are not followed: what they lead to is somebody else's.
    fn of_folder(inbox: &FilePath) -> Self {
        let mut found = Self::default();
        found.walk(inbox, "");
        found
    }

    fn walk(&mut self, folder: &FilePath, below: &str) {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            entries => entries.and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>()),
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.others.push((below.to_owned(), format!("cannot be read: {error}")));
                return;
            }
        };
        for entry in entries {
            let name = entry.file_name();
            let place = format!("{below}{}", name.to_string_lossy());
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // Of a link itself.
            match entry.metadata() {
                _ if name.to_str().is_none() => {
                    self.others.push((place, "has a name that is not UTF-8; give it another one".to_owned()));
                }
                Ok(known) if known.is_dir() => self.walk(&entry.path(), &format!("{place}/")),
                Ok(known) if known.is_file() => match Listed::of_file(place.clone(), &known) {
                    Some(file) => self.files.push(file),
                    None => self.others.push((place, "has a date that cannot be told".to_owned())),
                },
                Ok(_) => self.others.push((place, "is neither a file nor a folder".to_owned())),
                Err(error) => self.others.push((place, format!("cannot be read: {error}"))),
            }
        }
    }

    async fn of_objects(store: &Store) -> Result<Self, LakeError> {
        let mut found = Self::default();
        let objects = store.objects();
        let inbox = Path::from(INBOX);
        let top = match objects.list_with_delimiter(Some(&inbox)).await {
            Err(object_store::Error::InvalidPath { source }) => {
                found.others.push(("the inbox".to_owned(), no_name(&source)));
                return Ok(found);
            }
            top => top?,
        };
        found.add(&top.objects);
        for folder in &top.common_prefixes {
            match objects.list(Some(folder)).try_collect::<Vec<ObjectMeta>>().await {
                Ok(files) => found.add(&files),
                Err(object_store::Error::InvalidPath { source }) => {
                    found.others.push((below_inbox(folder), no_name(&source)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// An empty object is what a console makes for a folder.
    fn add(&mut self, objects: &[ObjectMeta]) {
        let is_hidden = |object: &&ObjectMeta| object.location.parts().any(|part| part.as_ref().starts_with('.'));
        let files = objects.iter().filter(|object| object.size > 0 && !is_hidden(object));
        self.files.extend(files.map(|object| Listed {
            place: below_inbox(&object.location),
            at: object.last_modified,
            size: object.size,
            tag: object.e_tag.clone().unwrap_or_default(),
        }));
    }
}

impl Listed {
    fn of_file(place: String, known: &Metadata) -> Option<Self> {
        let since = known.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = DateTime::from_timestamp(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())?;
        Some(Self { place, at, size: known.len(), tag: known.len().to_string() })
    }
}

fn below_inbox(path: &Path) -> String {
    below(path, &Path::from(INBOX)).unwrap_or_else(|| path.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use object_store::{ObjectStore, ObjectStoreExt};

    use super::*;
    use crate::parts::EngineStore;

    #[tokio::test]
    async fn objects_are_told_by_folder_and_what_a_console_makes_for_a_folder_is_none_of_them() {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        for (key, text) in [
            ("inbox", ""),
            ("inbox/AROAEXAMPLEID1234:jane", ""),
            ("inbox/AROAEXAMPLEID1234:jane/2026/b c%20d.csv", "b"),
            ("inbox/AROAEXAMPLEID1234:jane/a.csv", "a"),
            ("inbox/AROAEXAMPLEID1234:jane/a.csv.taken.txt", "receipt"),
            ("inbox/AROAEXAMPLEID1234:jane/.hidden", "h"),
            ("inbox/lone.csv", "l"),
            ("inboxes/x/a.csv", "x"),
        ] {
            objects.put(&Path::parse(key).unwrap(), PutPayload::from(text)).await.unwrap();
        }
        let store = Store::new(objects, EngineStore { url: "memory:///".to_owned(), host: None }, None);
        let Listing { mut files, others } = Listing::of_objects(&store).await.unwrap();
        files.sort_by(|left, right| left.place.cmp(&right.place));
        let told: Vec<(&str, u64, bool)> =
            files.iter().map(|file| (file.place.as_str(), file.size, receipt_of(&file.place).is_some())).collect();
        let expected = [
            ("AROAEXAMPLEID1234:jane/2026/b c%20d.csv", 1, false),
            ("AROAEXAMPLEID1234:jane/a.csv", 1, false),
            ("AROAEXAMPLEID1234:jane/a.csv.taken.txt", 7, true),
            ("lone.csv", 1, false),
        ];
        assert_eq!((told, others), (expected.to_vec(), Vec::new()));
        let upload = files[0].upload().unwrap();
        assert_eq!((upload.by.as_str(), upload.name.as_str()), ("AROAEXAMPLEID1234:jane", "2026/b c%20d.csv"));
        assert_eq!(upload.path.as_ref(), "inbox/AROAEXAMPLEID1234:jane/2026/b c%20d.csv");
        let no_folder = "lies in no folder; put it into one that is named after whom it is of";
        assert_eq!(files[3].upload().unwrap_err(), no_folder);
    }
}
