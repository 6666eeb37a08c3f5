"""What is shown to people: tables, numbers and curves as text, pictures and pages. Pure but for files asked for."""
