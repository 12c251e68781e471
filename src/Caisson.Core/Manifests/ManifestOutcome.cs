using Caisson.Contracts;

namespace Caisson.Core.Manifests;

public abstract record ManifestOutcome
{
    /// <param name="Hash">Of the manifest's meaning: layout and comments do not count.</param>
    public sealed record Valid(AgentManifest Manifest, string Hash) : ManifestOutcome;

    /// <param name="Problem">One line: file, line, key, what was found, what is allowed.</param>
    public sealed record Invalid(Failure Problem) : ManifestOutcome;
}
