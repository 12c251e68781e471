namespace Caisson.Core.Lifecycle;

/// <summary>Says whether this server may begin anything new. What runs goes on, and ends are always written.</summary>
public interface IAdmission
{
    /// <summary>Why not, in one line for people; <c>null</c> when it may.</summary>
    string? Refusal { get; }
}
