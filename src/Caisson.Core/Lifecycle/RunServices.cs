using Caisson.Core.Blobs;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>What every ownership of a run works with.</summary>
internal sealed record RunServices(IRunStore Store, IRunReader Reader, IBlobStore Blobs, RunSignals Signals, TimeProvider Clock, IIdSource Ids);
