namespace Caisson.MockModel.Scripts;

/// <summary>Leaves the reader's depths; <see cref="MockScript.Parse"/> turns it into an outcome.</summary>
internal sealed class ScriptException(string message) : Exception(message);
