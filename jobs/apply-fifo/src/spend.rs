//! Which cells of a period lots may draw on; the others are left out.

use arrow::array::{Array, AsArray, Date32Array, Decimal128Array, StringArray};
use arrow::datatypes::Date32Type;
use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Money, Node, Spend, Text};
use hashbrown::{Equivalent, HashMap, HashSet};

use crate::error::FifoError;

/// What a cell takes in memory while credits are applied: here, what the ledger has not drawn of it, and its checks.
const BYTES_PER_CELL: usize = 256;
/// What an account, or a place, takes with its names.
const BYTES_PER_NAME: usize = 512;

/// The spend of a period that lots may draw on, with all that rows say of it.
#[derive(Debug)]
pub struct PeriodSpend {
    pub(crate) spend: Spend,
    /// By cell: its usage date in days since 1970, wherever the billing period lies.
    pub(crate) usage_dates: Vec<i32>,
    /// By cell: position in `names`.
    pub(crate) accounts: Vec<usize>,
    pub(crate) names: Vec<Account>,
}

/// Under what spend was billed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    pub(crate) payer: Text,
    pub(crate) account: Text,
    pub(crate) service: Option<Text>,
}

/// An account as a batch of cells has it.
#[derive(Hash)]
struct AccountRef<'a> {
    payer: &'a str,
    account: &'a str,
    service: Option<&'a str>,
}

impl Equivalent<Account> for AccountRef<'_> {
    fn equivalent(&self, account: &Account) -> bool {
        (self.payer, self.account, self.service)
            == (account.payer.as_str(), account.account.as_str(), account.service.as_deref())
    }
}

impl PeriodSpend {
    /// What people call a cell.
    pub(crate) fn cell_name(&self, cell: usize) -> String {
        let place = self.spend.cells().get(cell).and_then(|cell| self.spend.places().get(cell.place));
        let account = self.accounts.get(cell).and_then(|account| self.names.get(*account));
        let day = self.usage_dates.get(cell).and_then(|day| Date32Type::to_naive_date_opt(*day));
        let (Some((currency, node)), Some(Account { account, service, .. }), Some(day)) = (place, account, day) else {
            return format!("cell {cell}");
        };
        format!("{day} {account} {} {currency} {node}", service.as_deref().unwrap_or("-"))
    }
}

/// Collects the spend of a period from its cells.
#[derive(Debug)]
pub struct SpendReader {
    /// Currencies and nodes of the lots that may draw.
    lots: HashSet<(Text, Node)>,
    read: PeriodSpend,
    accounts: HashMap<Account, usize>,
    places: HashMap<(Text, Node), usize>,
}

/// The columns of a batch of cells.
struct Columns<'a> {
    days: &'a Date32Array,
    payer: &'a StringArray,
    account: &'a StringArray,
    service: &'a StringArray,
    currency: &'a StringArray,
    levels: [&'a StringArray; 4],
    eligible: &'a Decimal128Array,
}

impl<'a> Columns<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self, FifoError> {
        let text = |name: &'static str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or(FifoError::Column(name))
        };
        let [first, second, third, fourth] = Node::LEVELS;
        let eligible = batch.column_by_name("eligible_charges").and_then(|column| column.as_primitive_opt());
        let days = batch.column_by_name("usage_date").and_then(|column| column.as_primitive_opt());
        Ok(Self {
            days: days.ok_or(FifoError::Column("usage_date"))?,
            payer: text("payer_account_id")?,
            account: text("account_id")?,
            service: text("service")?,
            currency: text("currency")?,
            levels: [text(first)?, text(second)?, text(third)?, text(fourth)?],
            eligible: eligible.ok_or(FifoError::Column("eligible_charges"))?,
        })
    }

    fn levels(&self, row: usize) -> [Option<&'a str>; 4] {
        self.levels.map(|level| level.is_valid(row).then(|| level.value(row)))
    }

    fn account(&self, row: usize) -> AccountRef<'a> {
        let service = self.service.is_valid(row).then(|| self.service.value(row));
        AccountRef { payer: self.payer.value(row), account: self.account.value(row), service }
    }
}

impl SpendReader {
    /// A reader of the cells of `period` that lots of these currencies and nodes may draw on.
    pub(crate) fn new(period: BillingPeriod, lots: HashSet<(Text, Node)>) -> Self {
        let read =
            PeriodSpend { spend: Spend::new(period), usage_dates: Vec::new(), accounts: Vec::new(), names: Vec::new() };
        Self { lots, read, accounts: HashMap::new(), places: HashMap::new() }
    }

    /// False where no lot may draw: then there is nothing to read.
    #[must_use]
    pub fn wants_cells(&self) -> bool {
        !self.lots.is_empty()
    }

    /// Takes what matters of a batch of cells; batches come in order of the table's grain.
    ///
    /// # Errors
    /// [`FifoError`] for a batch that does not hold cells.
    pub fn read(&mut self, batch: &RecordBatch) -> Result<(), FifoError> {
        let columns = Columns::new(batch)?;
        let mut reached: HashMap<(&str, [Option<&str>; 4]), Option<usize>> = HashMap::new();
        for row in (0..batch.num_rows()).filter(|row| columns.eligible.value(*row) > 0) {
            let place = (columns.currency.value(row), columns.levels(row));
            let place = match reached.get(&place) {
                Some(known) => *known,
                None => *reached.entry(place).insert(self.reached(place)?).get(),
            };
            let Some(place) = place else { continue };
            let usage_date = Date32Type::to_naive_date_opt(columns.days.value(row));
            let usage_date = usage_date.ok_or(FifoError::Column("usage_date"))?;
            self.read.spend.add(place, usage_date, Money::from_units(columns.eligible.value(row))?);
            self.read.usage_dates.push(columns.days.value(row));
            let account = self.account(columns.account(row));
            self.read.accounts.push(account);
        }
        Ok(())
    }

    /// Position of an account among those known.
    fn account(&mut self, account: AccountRef<'_>) -> usize {
        if let Some(known) = self.accounts.get(&account) {
            return *known;
        }
        let AccountRef { payer, account, service } = account;
        let account = Account { payer: payer.into(), account: account.into(), service: service.map(Text::new) };
        let position = self.read.names.len();
        self.read.names.push(account.clone());
        self.accounts.insert(account, position);
        position
    }

    /// Position of a place, if a lot sits there or above.
    fn reached(&mut self, (currency, levels): (&str, [Option<&str>; 4])) -> Result<Option<usize>, FifoError> {
        let named = |source| {
            let names: Vec<&str> = levels.into_iter().map(Option::unwrap_or_default).collect();
            FifoError::Node { row: format!("a cell on {}", names.join("/")), source }
        };
        let place = (Text::new(currency), Node::from_levels(levels).map_err(named)?);
        if !place.1.lineage().any(|above| self.lots.contains(&(place.0.clone(), above))) {
            return Ok(None);
        }
        let spend = &mut self.read.spend;
        let (currency, node) = place.clone();
        Ok(Some(*self.places.entry(place).or_insert_with(|| spend.add_place(currency, node))))
    }

    /// Bytes that applying credits to what was read so far takes in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        let names = self.read.names.len().saturating_add(self.places.len());
        let cells = self.read.accounts.len().saturating_mul(BYTES_PER_CELL);
        names.saturating_mul(BYTES_PER_NAME).saturating_add(cells)
    }

    /// The spend.
    #[must_use]
    pub fn into_spend(self) -> PeriodSpend {
        self.read
    }
}
