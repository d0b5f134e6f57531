//! VPP's pools: elements keep their index, and the index freed last is given out first.

#[cfg(test)]
mod tests;

/// Elements by index. Iteration is in the order of the indexes.
#[derive(Debug, Clone)]
pub struct Pool<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    first: u32,
}

impl<T> Pool<T> {
    /// An empty pool whose lowest index is `first`. VPP fills some pools' low indexes before anybody else can.
    pub fn starting_at(first: u32) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), first }
    }

    /// Puts an element in and tells its index.
    pub fn insert(&mut self, element: T) -> u32 {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slot_mut(index)
        {
            *slot = Some(element);
            return index;
        }
        self.slots.push(Some(element));
        let position = u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX);
        self.first.saturating_add(position)
    }

    /// Takes an element out and frees its index.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let element = self.slot_mut(index)?.take()?;
        self.free.push(index);
        Some(element)
    }

    /// The element at an index.
    pub fn get(&self, index: u32) -> Option<&T> {
        self.slots.get(index.checked_sub(self.first)? as usize)?.as_ref()
    }

    /// The element at an index, to change it.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slot_mut(index)?.as_mut()
    }

    /// All elements with their indexes.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (self.first..).zip(&self.slots).filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Option<T>> {
        self.slots.get_mut(index.checked_sub(self.first)? as usize)
    }
}
