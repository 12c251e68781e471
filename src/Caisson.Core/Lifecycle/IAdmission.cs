namespace Caisson.Core.Lifecycle;

/// <summary>
/// A gate before new work. While it refuses, nothing is claimed and no step starts; what runs may settle, pause and end.
/// Asked often, from any thread: an answer costs no more than a look at memory or at a file's size.
/// </summary>
public interface IAdmission
{
    /// <summary><c>null</c> admits; else the reason, in one line, as <c>/readyz</c> shows it.</summary>
    string? Refusal { get; }
}

/// <summary>Several gates as one: the first that refuses gives the reason.</summary>
public sealed class Admissions(IReadOnlyList<IAdmission> gates) : IAdmission
{
    public string? Refusal
    {
        get
        {
            foreach (var gate in gates)
            {
                if (gate.Refusal is { } reason)
                    return reason;
            }

            return null;
        }
    }
}
