package federation

// SystemNamespace is the namespace of what fedsync stores in a cluster: claims,
// inventories, and the objects that adoption overwrote.
const SystemNamespace = "fedsync-system"

// FieldManager is the field manager of fedsync's applies.
const FieldManager = "fedsync"
