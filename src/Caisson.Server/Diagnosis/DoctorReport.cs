namespace Caisson.Server.Diagnosis;

/// <summary>What <c>caisson doctor</c> found.</summary>
public sealed record DoctorReport(int Schema, IReadOnlyList<Finding> Findings);

/// <param name="Level"><c>ok</c>, <c>note</c> (something that nobody needs is not there), <c>warn</c> (works, with less) or <c>fail</c> (does not work).</param>
/// <param name="Remedy">What to do, where it is not ok.</param>
public sealed record Finding(string Check, string Level, string Detail, string? Remedy)
{
    internal static Finding Ok(string check, string detail) => new(check, "ok", detail, null);

    internal static Finding Note(string check, string detail, string remedy) => new(check, "note", detail, remedy);

    internal static Finding Warn(string check, string detail, string remedy) => new(check, "warn", detail, remedy);

    internal static Finding Fail(string check, string detail, string remedy) => new(check, "fail", detail, remedy);
}
