package federation

// SystemNamespace holds what fedsync keeps in a cluster: claims, inventories, and
// the objects that adoption overwrote.
const SystemNamespace = "fedsync-system"

// FieldManager is the field manager of fedsync's applies.
const FieldManager = "fedsync"
