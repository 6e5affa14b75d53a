"""What local pages share: their look, dark and light, and how texts of strangers are shown. `text.js` adds to `HV`."""
